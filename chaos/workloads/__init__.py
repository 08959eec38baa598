"""What clients do, and what one untroubled copy would answer: operations, model and generator side by side.

`register`        get, put, delete and compare-and-set of one value per key; also knossos' and porcupine's cas-register
`kv`              strings with put, append and get
`mutex`           acquire and release
`multi_register`  several registers read and written by one operation
"""
