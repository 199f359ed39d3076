"""The gallery: a page on this machine that shows a store, and the REST API beneath it.

In: a store, opened. Out: answers over HTTP. Only this room, and its command, know the web framework; the work is done in other rooms.
"""
