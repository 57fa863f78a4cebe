"""Runs the tests: run.py [-v] [FILTER..]; a test's name is topic/name, or topic/name[case]. Each has a process of its own, several run at a time."""
import glob
import importlib
import json
import os
import select
import shutil
import signal
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import harness  # noqa: E402


def collect(filters):
    tests = []
    for path in sorted(glob.glob(os.path.join(HERE, 'test_*.py'))):
        topic = os.path.basename(path)[5:-3]
        module = importlib.import_module(f'test_{topic}')
        for name, function in vars(module).items():
            if not name.startswith('test_') or getattr(function, '__module__', '') != module.__name__:
                continue
            for case in getattr(function, 'cases', (None,)):
                label = name[5:]
                if case is not None:
                    label += f'[{case if isinstance(case, str) else case[0]}]'
                full = f'{topic}/{label}'
                if not filters or any(f in f'e2e/{full}' for f in filters):
                    tests.append((full, function, case))
    return tests


def child(number, function, case, out):
    harness._number = number
    result = {'failure': None, 'skip': None, 'subs': []}
    try:
        function(case) if case is not None else function()
    except harness.Skip as skip:
        result['skip'] = str(skip)
    except BaseException:
        result['failure'] = traceback.format_exc()
    failed = bool(result['failure']) or any(f for _, f in harness.subtests)
    try:
        complaints = harness.finish(failed)
    except BaseException:
        complaints = [traceback.format_exc()]
    result['subs'] = harness.subtests
    if complaints:
        result['failure'] = (result['failure'] or '') + '\n'.join(complaints)
    with os.fdopen(out, 'w') as pipe:
        json.dump(result, pipe)
    sys.stdout.flush()
    sys.stderr.flush()
    if not failed and not complaints and not os.environ.get('E2E_KEEP'):
        shutil.rmtree(os.path.join(harness.TMP, 'run', str(os.getpid())), ignore_errors=True)
    os._exit(0)


class Running:
    def __init__(self, number, test):
        self.name, self.function, self.case = test
        self.start = time.monotonic()
        self.limit = getattr(self.function, 'limit', 30) * harness.SLOW_BUILD
        self.pipe, out = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.pipe)
            os.setpgid(0, 0)
            child(number, self.function, self.case, out)
        os.close(out)
        self.data = b''

    def step(self):
        """True when it has ended."""
        data = os.read(self.pipe, 1 << 20)
        self.data += data
        return not data

    def end(self):
        os.close(self.pipe)
        try:
            os.killpg(self.pid, signal.SIGKILL)  # gateways a crashed test left behind
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
        try:
            return json.loads(self.data)
        except ValueError:
            return {'failure': f'no verdict after {time.monotonic() - self.start:.0f} s (limit {self.limit} s)', 'skip': None, 'subs': []}


def main():
    arguments = sys.argv[1:]
    verbose = '-v' in arguments
    filters = [a for a in arguments if a != '-v']
    jobs = int(os.environ.get('E2E_JOBS', 2 + (os.cpu_count() or 2)))
    os.environ['E2E_RUN'] = str(os.getpid())
    tests = collect(filters)
    verbose = verbose or bool(filters)
    skipped, passed, failures, timings = [], 0, [], []
    topics = {}
    todo = []
    for test in tests:
        if getattr(test[1], 'slow', False) and not harness.IS_CI and not os.environ.get('E2E_SLOW'):
            skipped.append((test[0], 'slow: runs in ci (CI=true)'))
        else:
            todo.append(test)
    if any(t[0].startswith('sdk/') for t in todo):
        from clients import sdk  # noqa: F401  seconds of imports, once instead of in every test
    if any(t[0].startswith('genai/') and 'python' in t[0] for t in todo):
        from clients import genai  # noqa: F401
    todo.sort(key=lambda t: (bool(getattr(t[1], 'alone', False)), -getattr(t[1], 'limit', 30)))
    running, number, start = {}, 0, time.monotonic()
    while todo or running:
        while todo:
            is_alone = getattr(todo[0][1], 'alone', False)
            if len(running) >= (1 if is_alone else jobs):
                break
            one = Running(number, todo.pop(0))
            number += 1
            running[one.pipe] = one
        for pipe in select.select(list(running), [], [], 0.5)[0]:
            one = running[pipe]
            if not one.step():
                continue
            del running[pipe]
            result = one.end()
            seconds = time.monotonic() - one.start
            topic = topics.setdefault(one.name.split('/')[0], [0, 0, 0.0])
            topic[2] += seconds
            timings.append((seconds, one.name))
            if result['skip']:
                skipped.append((one.name, result['skip']))
                continue
            bad = [(f'{one.name} · {n}', f) for n, f in result['subs'] if f]
            passed += len(result['subs']) - len(bad)
            topic[0] += len(result['subs']) - len(bad)
            if result['failure']:
                bad.append((one.name, result['failure']))
            elif not result['subs']:
                passed += 1
                topic[0] += 1
            topic[1] += len(bad)
            for name, failure in bad:
                failures.append(name)
                print(f'FAILED {name}  ({seconds:.1f} s)')
                for line in failure.rstrip().splitlines()[-60:]:
                    print(f'    {line[:2000]}')
                print(f"    alone: ./build.sh e2e '{one.name.split('[')[0]}'; its files: {os.path.join(harness.TMP, 'run', str(one.pid))}", flush=True)
            if verbose and not bad:
                print(f'ok     {one.name}  {seconds:.1f} s', flush=True)
        for one in list(running.values()):
            if time.monotonic() - one.start > one.limit:
                try:
                    os.killpg(one.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
    for topic, (good, bad, seconds) in sorted(topics.items()):
        print(f'{"FAILED" if bad else "ok    "} e2e/{topic:<28} {good:4d} passed  {seconds:.1f} s')
    for name, why in skipped:
        print(f'       skipped {name}: {why}')
    if os.environ.get('E2E_TIMES'):
        for seconds, name in sorted(timings, reverse=True)[:25]:
            print(f'       {seconds:6.1f} s  {name}')
    print(f'       took {time.monotonic() - start:.0f} s')
    print(f'{passed} passed, {len(failures)} failed')
    sys.exit(1 if failures else 0)


if __name__ == '__main__':
    main()
