"""Replaying recorded vectors of other gateways: one normal form for each protocol's bodies and streams, and what differs between two of them.

The normal form takes away what the protocol itself calls equal (a string and its one text part, null and absent, false and absent `stream`) and what no two
gateways share (ids of answers, times, fingerprints). What is left and differs is said as `side sign path`: side `asked` (what the upstream received) or
`answered` (what the client got), sign `-` (only the peer has it), `+` (only we), `~` (other value); indexes in a path are `*`.
"""
import difflib
import json
import re

KINDS = {'openai_chat': 'openai', 'openai_responses': 'openai-responses', 'anthropic_messages': 'anthropic', 'gemini': 'gemini'}
# Members a gateway makes up, and may: compared by nobody.
MADE = {'id', 'created', 'created_at', 'completed_at', 'system_fingerprint', 'item_id', 'responseId', 'request_id', 'sequence_number', 'obfuscation'}
DATA = ('input_schema', 'parameters', 'schema', 'input', 'arguments', 'args', 'response', 'responseSchema', 'parametersJsonSchema', 'responseJsonSchema')


def events_of(text):
    """The data of a stream's events, parsed; what is no JSON stays text."""
    found = []
    for block in re.split(r'\r?\n\r?\n', text):
        data = '\n'.join(line[5:].lstrip() for line in block.splitlines() if line.startswith('data:'))
        if data and data != '[DONE]':
            try:
                found.append(json.loads(data))
            except ValueError:
                found.append({'undecodable': data})
        elif block.lstrip().startswith('{'):
            found.append(json.loads(block))
    return found


def joined_chat(events):
    out = {'choices': {}}
    for event in events:
        if 'choices' not in event:
            out.update(event)
            continue
        out.update({k: v for k, v in event.items() if k not in ('choices', 'object') and v is not None})
        for choice in event['choices']:
            made = out['choices'].setdefault(choice.get('index', 0), {'message': {'role': 'assistant'}, 'calls': {}})
            for name, value in choice.get('delta', {}).items():
                if name == 'tool_calls':
                    for part in value:
                        call = made['calls'].setdefault(part['index'], {'type': 'function', 'function': {'name': '', 'arguments': ''}})
                        call['id'] = call.get('id') or part.get('id')
                        for member, fragment in (part.get('function') or {}).items():
                            call['function'][member] += fragment or ''
                elif isinstance(value, str) and name != 'role':
                    made['message'][name] = made['message'].get(name, '') + value
                elif isinstance(value, list):
                    made['message'][name] = made['message'].get(name, []) + value
            if choice.get('finish_reason'):
                made['finish_reason'] = choice['finish_reason']
    choices = out['choices']
    out['choices'] = []
    for index in sorted(choices):
        calls = choices[index].pop('calls')
        if calls:
            choices[index]['message']['tool_calls'] = [calls[i] for i in sorted(calls)]
        out['choices'].append({'index': index, **choices[index]})
    return out


def joined_messages(events):
    out, blocks = {}, {}
    for event in events:
        kind = event.get('type')
        if kind == 'message_start':
            out.update(event['message'])
        elif kind == 'content_block_start':
            blocks[event['index']] = dict(event['content_block'])
        elif kind == 'content_block_delta':
            block, delta = blocks[event['index']], event['delta']
            for member in ('text', 'thinking', 'signature', 'partial_json'):
                if member in delta:
                    block[member] = block.get(member, '') + delta[member]
            if 'citation' in delta:
                block['citations'] = (block.get('citations') or []) + [delta['citation']]
        elif kind == 'message_delta':
            out.update(event['delta'])
            out['usage'] = {**(out.get('usage') or {}), **{k: v for k, v in (event.get('usage') or {}).items() if v is not None}}
        elif kind not in ('message_stop', 'content_block_stop', 'ping'):
            out.update(event)
    for block in blocks.values():
        if 'partial_json' in block:
            block['input'] = loaded(block.pop('partial_json'))
    out['content'] = [blocks[i] for i in sorted(blocks)]
    return out


def joined_responses(events):
    """What the deltas say, in the shape of the final object; and that object, where there is one."""
    out, items = {}, {}
    for event in events:
        kind = event.get('type', '')
        if kind in ('response.completed', 'response.incomplete', 'response.failed'):
            out.update(event['response'], end=kind)
        elif kind == 'response.output_item.done':
            items[event['output_index']] = event['item']
        elif kind == 'error' or not kind:
            out.update(event, end='error')
    out['items'] = [items[i] for i in sorted(items)]
    if out['items'] == out.get('output'):
        del out['items']
    return out


def joined_gemini(events):
    out, parts = {}, []
    for event in events:
        for candidate in event.get('candidates', []):
            for part in candidate.get('content', {}).get('parts', []):
                same = parts and set(part) <= {'text', 'thought'} and set(parts[-1]) == set(part)
                if same:
                    parts[-1]['text'] += part['text']
                else:
                    parts.append(dict(part))
        out.update(event)
    return {**out, 'parts': parts}


JOINED = {'openai': joined_chat, 'openai-responses': joined_responses, 'anthropic': joined_messages, 'gemini': joined_gemini}


def loaded(text):
    try:
        return json.loads(text) if text.strip() else {}
    except ValueError:
        return text


def camel(name):
    return re.sub(r'_([a-z])', lambda m: m[1].upper(), name)


def renamed(value):
    """Gemini's members in camelCase, but for the data inside."""
    if isinstance(value, list):
        return [renamed(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {camel(k): v if camel(k) in DATA else renamed(v) for k, v in value.items()}


def blocks_of(content, kind='text'):
    return [{'type': kind, 'text': content}] if isinstance(content, str) else content


def normal(kind, value, is_answer):
    """One spelling of what the protocol lets one write in two."""
    if not isinstance(value, dict):
        return value
    value = json.loads(json.dumps(value))
    if value.get('stream') is False:
        del value['stream']
    if kind == 'anthropic':
        if 'system' in value:
            value['system'] = blocks_of(value['system'])
        for message in value.get('messages', []):
            message['content'] = blocks_of(message['content'])
            for block in message['content']:
                if block.get('type') == 'tool_result' and 'content' in block:
                    block['content'] = blocks_of(block['content'])
    elif kind == 'openai':
        messages = [c.get('message', {}) for c in value.get('choices', [])] + value.get('messages', [])
        for message in messages:
            content = message.get('content')
            if isinstance(content, list) and all(p.get('type') == 'text' and set(p) == {'type', 'text'} for p in content):
                message['content'] = ''.join(p['text'] for p in content)
            for call in message.get('tool_calls') or []:
                call['function']['arguments'] = loaded(call['function'].get('arguments', ''))
    elif kind == 'openai-responses':
        if isinstance(value.get('input'), str):
            value['input'] = [{'role': 'user', 'content': value['input']}]
        for items in ('input', 'output', 'items'):
            for item in value.get(items) or []:
                if 'role' in item:
                    item.setdefault('type', 'message')
                    item['content'] = blocks_of(item['content'], 'output_text' if item['role'] == 'assistant' else 'input_text')
                if 'arguments' in item:
                    item['arguments'] = loaded(item['arguments'])
    else:
        value = renamed(value)
        for content in [value.get('systemInstruction') or {}]:
            content.pop('role', None)
    return bare(value, is_answer)


def bare(value, is_answer):
    """Without nulls, and an answer without what is made up and without empty lists."""
    if isinstance(value, list):
        return [bare(v, is_answer) for v in value]
    if isinstance(value, dict):
        return {k: bare(v, is_answer) for k, v in value.items() if v is not None and not (is_answer and (k in MADE or v == []))}
    return value


def differences(theirs, ours, path=''):
    """Pairs of the difference and both values."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in sorted(set(theirs) | set(ours)):
            where = f'{path}.{name}' if path else name
            if name not in ours:
                yield f'-{where}', (theirs[name], None)
            elif name not in theirs:
                yield f'+{where}', (None, ours[name])
            else:
                yield from differences(theirs[name], ours[name], where)
    elif isinstance(theirs, list) and isinstance(ours, list):
        a, b = ([json.dumps(v, sort_keys=True) for v in side] for side in (theirs, ours))
        for tag, a1, a2, b1, b2 in difflib.SequenceMatcher(None, a, b, False).get_opcodes():
            if tag == 'equal':
                continue
            both = min(a2 - a1, b2 - b1)
            for i in range(both):
                yield from differences(theirs[a1 + i], ours[b1 + i], f'{path}[*]')
            if a2 - a1 != b2 - b1:
                yield ('-' if a2 - a1 > both else '+') + f'{path}[*]', (theirs[a1 + both:a2], ours[b1 + both:b2])
    elif theirs != ours or isinstance(theirs, bool) != isinstance(ours, bool):
        yield f'~{path}', (theirs, ours)


def table(path):
    """The explained differences as [(reason, patterns, ids)]. In the file a rule is a line `§SECTION: reason`, then patterns of differences (`side sign path`,
    `**` for anything) or `skipped` for what cannot be replayed, then, indented, the vectors it holds for."""
    rules = []
    with open(path) as file:
        for line in file.read().splitlines():
            if line.startswith('§'):
                rules.append((line[1:], [], []))
            elif line.startswith(' '):
                rules[-1][2].append(line.strip())
            elif line and not line.startswith('#'):
                rules[-1][1].append(line)
    return rules


def matches(pattern, difference):
    return re.fullmatch('.*'.join(re.escape(p) for p in pattern.split('**')), difference) is not None
