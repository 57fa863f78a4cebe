"""The mock's HTTP/1.1 server: reads requests strictly, keeps them, and plays replies with every fault a network knows."""
import asyncio
import gzip
import json
import socket
import struct
import threading
import time
import urllib.parse
from dataclasses import dataclass, field

from . import anthropic_messages, gemini, openai_chat, openai_responses
from .rules import Bad
from .turn import Turn, text

DIALECTS = (openai_chat, anthropic_messages, openai_responses, gemini)


def dialect_of(path):
    for dialect in DIALECTS:
        if path in getattr(dialect, 'PATHS', ()) or (hasattr(dialect, 'PATH') and dialect.PATH.match(path)):
            return dialect
    return None


@dataclass
class Reply:
    turn: Turn = None
    status: int = 200
    message: str = 'mocked'        # of an error status
    code: str = None               # the vendor's code or type, when not the usual one
    headers: dict = field(default_factory=dict)
    body: bytes = None             # instead of what the dialect makes
    events: list = None            # the same for a stream
    wait: float = 0                # before the head
    head_wait: float = 0           # after the head
    pace: float = 0                # after each write of a stream
    step: int = 0                  # bytes a write; 0: whole events
    join: int = 1                  # events a write
    framing: str = 'auto'          # chunked, length, close
    http10: bool = False
    close: bool = False            # says Connection: close and does
    cut: int = None                # ends the connection after so many events (a stream) or bytes (a plain body)
    reset: bool = False            # … by a reset
    stall: int = None              # silence after so many events or bytes, until the peer leaves
    break_at: int = None           # an error event after so many events, then the end
    break_status: int = 529
    comments: bool = False         # a keep-alive before each event
    gzip: bool = False
    garbage: bytes = None          # instead of an answer
    abrupt: bool = False           # closes without an answer
    lenient: bool = False          # the request is not checked


class Request:
    def __init__(self, connection, number, head, method, path, version, headers):
        self.connection, self.number, self.head, self.method, self.path, self.version = connection, number, head, method, path, version
        self.fields = headers                       # as sent, in order
        self.headers = {n.lower(): v for n, v in headers}
        self.body = b''
        self.problem = None                         # what the vendor would refuse
        self.at = time.monotonic()
        self.read_at = None                         # when the body was complete
        self.answered_at = None
        self.gone_at = None                         # when the peer left before the answer's end
        self.is_complete = False                    # the answer was sent whole

    @property
    def json(self):
        if not hasattr(self, '_json'):
            try:
                self._json = json.loads(self.body)
            except ValueError:
                self._json = None
        return self._json

    @property
    def model(self):
        in_path = gemini.PATH.match(self.path.split('?')[0])
        if in_path:
            return urllib.parse.unquote(in_path[1])
        return self.json.get('model', '') if isinstance(self.json, dict) else ''

    @property
    def is_stream(self):
        return gemini.is_stream(self) or bool(isinstance(self.json, dict) and self.json.get('stream'))


class Gone(Exception):
    pass


class Link(asyncio.StreamReaderProtocol):
    """A connection whose end is noticed while nobody reads."""

    def __init__(self, mock):
        self.gone = asyncio.Event()
        self.gone_at = None
        super().__init__(asyncio.StreamReader(limit=1 << 26), lambda reader, writer: mock._serve(self, reader, writer))

    def note(self):
        if not self.gone.is_set():
            self.gone_at = time.monotonic()
            self.gone.set()

    def eof_received(self):
        self.note()
        return super().eof_received()

    def connection_lost(self, exception):
        self.note()
        super().connection_lost(exception)


_loop = None


def loop():
    """One event loop in a thread of its own, for all mocks of this process."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
        threading.Thread(target=_loop.run_forever, daemon=True).start()
    return _loop


class Mock:
    def __init__(self, ssl=None, lenient=False, unix=None, backlog=1024):
        self.seen = []
        self.connections = 0
        self.open = 0
        self.rules = {}              # model -> [replies, index]
        self.default = Reply(turn=text('Hello from the mock.'))
        self.lenient = lenient
        self.keep_max = None         # requests a connection may carry; then it is closed without a word
        self.keep_delay = 0.0        # … so long after the last answer
        self.drop_reused = False     # a second request on a connection finds it closed
        self.read_delay = 0          # before a body is read
        self.early = None            # a reply sent before the body is read
        self.model_names = ['mock-1', 'mock-2']
        self.changed = threading.Condition()
        self.unix = unix
        self._tasks = set()

        async def begin():
            if unix:
                return await loop().create_unix_server(lambda: Link(self), unix, ssl=ssl)
            return await loop().create_server(lambda: Link(self), '127.0.0.1', 0, ssl=ssl, backlog=backlog)

        self.server = asyncio.run_coroutine_threadsafe(begin(), loop()).result(10)
        self.port = None if unix else self.server.sockets[0].getsockname()[1]
        self.scheme = 'https' if ssl else 'http'

    # ---- for tests ----

    @property
    def origin(self):
        return f'{self.scheme}://127.0.0.1:{self.port}'

    @property
    def openai(self):
        return self.origin + '/v1'

    @property
    def anthropic(self):
        return self.origin

    def on(self, model, *replies):
        self.rules[model] = [list(replies), 0]

    def stop(self):
        async def end():
            self.server.close()
        asyncio.run_coroutine_threadsafe(end(), loop()).result(10)

    def wait(self, test, timeout=5):
        """Until test(self); what it returned, or the last falsity."""
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                value = test(self)
                left = end - time.monotonic()
                if value or left <= 0:
                    return value
                self.changed.wait(min(left, 0.02))

    def last(self, model=None):
        for request in reversed(self.seen):
            if model is None or request.model == model:
                return request
        raise AssertionError('the mock has seen no request')

    def count(self, model=None):
        return sum(1 for r in self.seen if model is None or r.model == model)

    @property
    def problems(self):
        return [f'{r.method} {r.path}: {r.problem}' for r in self.seen if r.problem]

    # ---- the server ----

    def _notify(self):
        with self.changed:
            self.changed.notify_all()

    async def _serve(self, link, reader, writer):
        self.connections += 1
        self.open += 1
        number, served = self.connections, 0
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while True:
                request = await self._head(reader, number, served + 1)
                if request is None:
                    break
                served += 1
                if self.drop_reused and served > 1:
                    break
                if not await self._exchange(link, reader, writer, request):
                    break
                if self.keep_max and served >= self.keep_max:
                    await asyncio.sleep(self.keep_delay)
                    break
        except (Gone, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            self.open -= 1
            if not writer.transport.is_closing():
                writer.close()
            self._notify()

    async def _head(self, reader, connection, number):
        try:
            head = await reader.readuntil(b'\r\n\r\n')
        except asyncio.IncompleteReadError:
            return None
        lines = head[:-4].split(b'\r\n')
        try:
            method, path, version = lines[0].decode('ascii').split(' ')
        except ValueError:
            method, path, version = 'BAD', lines[0].decode('latin-1'), ''
        headers = []
        for line in lines[1:]:
            name, _, value = line.partition(b':')
            headers.append((name.decode('latin-1'), value.strip(b' \t').decode('latin-1')))
        request = Request(connection, number, head, method, path, version, headers)
        with self.changed:
            self.seen.append(request)
            self.changed.notify_all()
        return request

    def _check_head(self, request):
        names = [n.lower() for n, _ in request.fields]
        for name in ('host', 'content-length', 'transfer-encoding', 'content-type', 'authorization', 'x-api-key'):
            if names.count(name) > 1:
                raise Bad(name, 'repeated header')
        if 'host' not in names:
            raise Bad('host', 'missing')
        if 'content-length' in names and 'transfer-encoding' in names:
            raise Bad('content-length', 'beside transfer-encoding')
        for name in ('te', 'trailer', 'keep-alive', 'proxy-connection', 'proxy-authorization', 'upgrade', 'cookie', 'model-provider'):
            if name in names:
                raise Bad(name, 'must not be forwarded')
        if request.headers.get('accept-encoding', 'identity') != 'identity':
            raise Bad('accept-encoding', 'a coded answer cannot be translated')
        for name in names:
            if name.startswith('x-stainless-'):
                raise Bad(name, 'must not be forwarded')

    async def _read_body(self, reader, request):
        if 'chunked' in request.headers.get('transfer-encoding', ''):
            parts = []
            while True:
                size = int((await reader.readuntil(b'\r\n')).split(b';')[0], 16)
                parts.append(await reader.readexactly(size))
                assert await reader.readexactly(2) == b'\r\n'
                if size == 0:
                    break
            request.body = b''.join(parts)
        else:
            request.body = await reader.readexactly(int(request.headers.get('content-length', '0')))
        request.read_at = time.monotonic()

    async def _exchange(self, link, reader, writer, request):
        if self.early:
            await self._play(link, writer, request, self.early, openai_chat)
            return False
        if self.read_delay:
            await asyncio.sleep(self.read_delay)
        await self._read_body(reader, request)
        path = request.path.split('?')[0]
        dialect = dialect_of(path)
        if request.method == 'GET' and path.endswith('/models'):
            dialect = anthropic_messages if 'anthropic-version' in request.headers else openai_chat
            return await self._play(link, writer, request, Reply(body=dialect.models(self.model_names)), dialect)
        reply = self._choose(request)
        dialect_or = dialect or openai_chat
        try:
            self._check_head(request)
            if dialect is None:
                raise Bad('', f'Invalid URL ({request.method} {request.path})', None, 404)
            if request.json is None:
                raise Bad('', 'could not parse the JSON body')
            if not (self.lenient or reply.lenient):
                dialect.validate(request)
        except Bad as bad:
            if not (self.lenient or reply.lenient):
                request.problem = str(bad)
            if dialect is None or not (self.lenient or reply.lenient):
                reply = Reply(body=dialect_or.error_body(bad.status, str(bad), bad.where, bad.code if dialect in (openai_chat, openai_responses) else None), status=bad.status)
        self._notify()
        return await self._play(link, writer, request, reply, dialect_or)

    def _choose(self, request):
        rule = self.rules.get(request.model)
        reply = self.default
        if rule:
            replies, index = rule
            reply = replies[min(index, len(replies) - 1)]
            rule[1] += 1
        if callable(reply):
            reply = reply(request)
        if isinstance(reply, Turn):
            reply = Reply(turn=reply)
        return reply

    async def _pause(self, link, seconds):
        if seconds <= 0:
            if link.gone.is_set():
                raise Gone()
            return
        try:
            await asyncio.wait_for(link.gone.wait(), seconds)
        except asyncio.TimeoutError:
            return
        raise Gone()

    async def _write(self, link, writer, data, step):
        if link.gone.is_set():
            raise Gone()
        if step:
            for i in range(0, len(data), step):
                writer.write(data[i:i + step])
                await writer.drain()
                await asyncio.sleep(0.0002)
        else:
            writer.write(data)
            await writer.drain()

    async def _end(self, writer, reply):
        if reply.reset:
            sock = writer.get_extra_info('socket')
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        await asyncio.sleep(0.02)  # what was written is to arrive
        writer.transport.abort()

    async def _play(self, link, writer, request, reply, dialect):
        """True: the connection may carry another request."""
        try:
            await self._pause(link, reply.wait)
            if reply.garbage is not None:
                await self._write(link, writer, reply.garbage, reply.step)
                await self._end(writer, reply)
                return False
            if reply.abrupt:
                await self._end(writer, reply)
                return False
            is_stream = reply.status == 200 and reply.body is None and (reply.events is not None or request.is_stream)
            if is_stream:
                await self._play_stream(link, writer, request, reply, dialect)
            else:
                await self._play_plain(link, writer, request, reply, dialect)
            request.is_complete = not (reply.cut is not None or reply.stall is not None)
            return request.is_complete and not (reply.close or reply.http10 or reply.framing == 'close')
        except (Gone, ConnectionError):
            request.gone_at = link.gone_at or time.monotonic()
            raise Gone() from None
        finally:
            request.answered_at = time.monotonic()
            self._notify()

    def _head_bytes(self, reply, dialect, content_type, more):
        lines = [f'HTTP/{"1.0" if reply.http10 else "1.1"} {reply.status} Mocked']
        headers = {'content-type': content_type, dialect.REQUEST_ID: 'req_mock1'}
        headers.update(more)
        if reply.close:
            headers['connection'] = 'close'
        headers.update(reply.headers)
        lines += [f'{n}: {v}' for n, v in headers.items() if v is not None]
        return ('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1')

    async def _play_plain(self, link, writer, request, reply, dialect):
        if reply.body is not None:
            body = reply.body
        elif reply.status >= 400:
            body = dialect.error_body(reply.status, reply.message, code=reply.code)
        else:
            body = dialect.plain(reply.turn or text('Hello from the mock.'), request)
        more = {}
        if reply.gzip:
            body = gzip.compress(body)
            more['content-encoding'] = 'gzip'
        framing = 'close' if reply.http10 and reply.framing == 'auto' else reply.framing
        if framing == 'chunked':
            more['transfer-encoding'] = 'chunked'
        elif framing != 'close':
            more['content-length'] = str(len(body))
        await self._write(link, writer, self._head_bytes(reply, dialect, 'application/json', more), reply.step)
        await self._pause(link, reply.head_wait)
        if framing == 'chunked':
            pieces = [body[i:i + 1000] for i in range(0, len(body), 1000)]
            body = b''.join(b'%x;ext="a b"\r\n%s\r\n' % (len(p), p) for p in pieces) + b'0\r\nx-trailer: 1\r\n\r\n'
        if reply.cut is not None:
            await self._write(link, writer, body[:reply.cut], reply.step)
            await self._end(writer, reply)
            return
        if reply.stall is not None:
            await self._write(link, writer, body[:reply.stall], reply.step)
            await self._pause(link, 3600)
        await self._write(link, writer, body, reply.step)
        if framing == 'close' or reply.close:
            writer.close()

    async def _play_stream(self, link, writer, request, reply, dialect):
        events = reply.events if reply.events is not None else dialect.stream(reply.turn or text('Hello from the mock.'), request)
        if reply.break_at is not None:
            events = events[:reply.break_at] + [dialect.error_event(reply.break_status, reply.message)]
        if reply.comments:
            events = [e for event in events for e in (dialect.keep_alive(), event) if e]
        if reply.join > 1:
            events = [b''.join(events[i:i + reply.join]) for i in range(0, len(events), reply.join)]
        framing = 'close' if reply.http10 and reply.framing == 'auto' else 'chunked' if reply.framing == 'auto' else reply.framing
        more = {'cache-control': 'no-cache'}
        if reply.gzip:
            events = [gzip.compress(b''.join(events))]
            more['content-encoding'] = 'gzip'
        if framing == 'chunked':
            more['transfer-encoding'] = 'chunked'
        elif framing == 'length':
            more['content-length'] = str(sum(map(len, events)))
        await self._write(link, writer, self._head_bytes(reply, dialect, 'application/json' if dialect is gemini and 'alt=sse' not in request.path else 'text/event-stream; charset=utf-8', more), reply.step)
        await self._pause(link, reply.head_wait)
        for i, event in enumerate(events):
            if reply.cut is not None and i == reply.cut:
                await self._end(writer, reply)
                return
            if reply.stall is not None and i == reply.stall:
                await self._pause(link, 3600)
            if framing == 'chunked':
                event = b'%x\r\n%s\r\n' % (len(event), event)
            await self._write(link, writer, event, reply.step)
            await self._pause(link, reply.pace)
        if framing == 'chunked':
            await self._write(link, writer, b'0\r\n\r\n', reply.step)
        if framing == 'close' or reply.close:
            writer.close()
