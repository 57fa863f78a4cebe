"""A mock upstream of our own: what the vendors' servers demand and answer, and every way they fail.

    mock = Mock()                                  # listens on 127.0.0.1, a port of its own
    mock.on('model-x', Reply(turn=text('Hi')))     # what requests for a model get, in turn; the last repeats
    mock.seen                                      # requests as received: head, exact body, verdict of the vendor's rules

A dialect is one module with `paths`, `validate`, `plain`, `stream`, `error_body`, `error_event`: see DIALECTS.
"""
from .turn import Turn, Usage, call, calls, redacted, text, think
from .server import Mock, Reply, Request

__all__ = ['Mock', 'Reply', 'Request', 'Turn', 'Usage', 'call', 'calls', 'redacted', 'text', 'think']
