# Values as the texts that the tests compare. This precedes each script that prints values.
import datetime, json

EPOCH = datetime.date(1970, 1, 1)


def text(kind, value):
    if value is None:
        return None
    if kind == "bool":
        return "true" if value else "false"
    if kind == "nested":
        return json.dumps(value, separators=(",", ":"))
    if kind == "double":
        f = float(value)
        return "nan" if f != f else f.hex()
    if kind == "bytes":
        return bytes(value).hex()
    if isinstance(value, datetime.date):
        return str((value - EPOCH).days * 86400 * 10**6)
    return str(value)


