"""Runs one of the Node clients beside this file: one process for many cases."""
import json
import os
import subprocess

from harness import HERE, SLOW_BUILD


def node(script, cases, seconds=60):
    """The outcome of each case, in order."""
    done = subprocess.run([os.environ.get('E2E_NODE', 'node'), os.path.join(HERE, 'clients', script)], input=json.dumps(cases), capture_output=True, text=True, timeout=seconds * SLOW_BUILD)
    lines = [json.loads(line) for line in done.stdout.split('\n') if line.startswith('{')]
    assert done.returncode == 0 and len(lines) == len(cases), f'{len(lines)} of {len(cases)} cases came back\n{done.stderr[-3000:]}'
    return lines
