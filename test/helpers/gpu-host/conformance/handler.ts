/** Text that `speak` prints. */
export const PRINTED = "said by the function";

/** The functions that every client calls. */
export const FUNCTIONS = `
import time

def echo(*args):
    return list(args)

def fail():
    raise ValueError("no such luck")

def hold(seconds):
    time.sleep(seconds)

def speak():
    print("${PRINTED}", flush=True)
    time.sleep(1)

def act(name, *args):
    return globals()[name](*args)
`;
