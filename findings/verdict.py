"""What the Python half of a finding says and how it ends."""
import sys

changed = False


def same(what, value, wanted):
    _say(what, value, value == wanted, wanted)


def within(what, value, low, high):
    _say(what, f"{value:.6g}", low <= value <= high, f"{low:g} to {high:g}")


def _say(what, text, fine, wanted):
    global changed
    print(f"{what}: {text}")
    if not fine:
        print(f"  CHANGED, was: {wanted}")
        changed = True


def error_of(call, *arguments, **named):
    """The result of a call, or the name of the error that it raises."""
    try:
        return call(*arguments, **named)
    except Exception as error:
        return type(error).__name__


def end():
    sys.exit(1 if changed else 0)
