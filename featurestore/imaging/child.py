"""In a child process: images that are not ordinary. `children` is its other side."""

from collections.abc import Callable, Iterator

from featurestore.errors import ImageError
from featurestore.imaging import tasks
from featurestore.imaging.preprocess import Preprocess
from featurestore.system.messages import Message
from featurestore.system.text import describe_error

TASKS: dict[str, Callable[..., tasks.Result]] = {
    "pixels": lambda data, record, with_small: tasks.pixels(data, Preprocess.from_json(record), with_small),
    "thumbnail": tasks.thumbnail,
    "size": tasks.size,
}


def answer(message: Message) -> Iterator[Message]:
    """Run a task on the data of a message; answers with the result, its pixels and its small form as data, or with the reason of a failure."""
    try:
        result = TASKS[message.header["task"]](bytes(message.data), **message.header["options"])
    except ImageError as error:
        yield Message({"reason": str(error)})
    except Exception as error:
        yield Message({"reason": describe_error(error)})
    else:
        arrays = [result.pixels] if result.small is None else [result.pixels, result.small]
        header = {"width": result.width, "height": result.height, "how": result.how}
        shapes = [array.shape for array in arrays]
        yield Message({**header, "shapes": shapes}, b"".join(array.tobytes() for array in arrays))
