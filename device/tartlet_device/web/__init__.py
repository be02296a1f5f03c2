"""The live page and the requests that programs make, over HTTP.

`server` accepts connections, `connection` speaks HTTP on one of them, `guard` says who may ask,
`routes` who answers: `prediction`, `live`, `zones`, `gallery` and the files of `page/`.
"""
