"""Parts of networks: backbones by name, the heads of the methods, MoCo's queue, and the teacher that follows a student.

In come names, sizes and tensors; out come torch modules and tensors. Nothing here knows a method.
"""
