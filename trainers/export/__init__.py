"""Export: a network becomes an encoder file, which is checked before it gets its name.

A training run, a published model, an ONNX network or a baseline comes in. An encoder file goes out, float32 or int8
(`targets.export_encoder`, `targets.export_int8`). Nothing is imported here, because ONNX networks, pixels and int8 need no torch.
"""
