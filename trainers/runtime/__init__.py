"""The process that a training runs in: seeds, memory, and libraries that print.

Nothing of images or networks is known here. Seeds go out, and context managers that change the process for a while.
`seeds.mix` and `seeds.seeded` make all draws repeatable; `memory.keep_freed` speeds up processors; `threads.fit_threads` lowers the number of threads where that is faster; `quiet.quiet` hides warnings.
"""
