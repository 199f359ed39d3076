"""In a child process: images that are not ordinary. `children` is its other side."""

from collections.abc import Callable, Iterator

from featurestore.errors import ImageError
from featurestore.imaging import tasks
from featurestore.imaging.preprocess import Preprocess
from featurestore.system.messages import Message
from featurestore.system.text import describe_error

TASKS: dict[str, Callable[..., tasks.Result]] = {
    "pixels": lambda data, record: tasks.pixels(data, Preprocess.from_json(record)),
    "thumbnail": tasks.thumbnail,
    "size": tasks.size,
}


def answer(message: Message) -> Iterator[Message]:
    """Run a task on the data of a message; answers with the result, its pixels as data, or with the reason of a failure."""
    try:
        result = TASKS[message.header["task"]](bytes(message.data), **message.header["options"])
    except ImageError as error:
        yield Message({"reason": str(error)})
    except Exception as error:
        yield Message({"reason": describe_error(error)})
    else:
        header = {"width": result.width, "height": result.height, "how": result.how, "shape": result.pixels.shape}
        yield Message(header, result.pixels.tobytes())
