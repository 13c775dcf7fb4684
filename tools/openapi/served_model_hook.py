"""Seven of eight bodies name the served model: a document cannot say its name, and without it every request ends at 404."""
import os

import schemathesis


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict) and isinstance(body.get("model"), str) and len(str(body)) % 8 != 0:
        body["model"] = os.environ["WEIR_SERVED_MODEL"]
    return body
