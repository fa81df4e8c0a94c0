"""Functions of `npm run bench -- calls`: one function that gives its argument back, one that takes its time."""

import time


def transcribe(value):
    return value


def convert(seconds):
    time.sleep(seconds)
