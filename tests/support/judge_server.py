"""A local server of the chat-completions API, with any faults: HTTP/1.1 over asyncio, in its own thread."""

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Raw:
    """A raw HTTP answer. drop: number of bytes after which the connection is closed."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    drop: int | None = None
    seconds: float = 0.0


@dataclass
class Call:
    """A client's request."""

    number: int
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def prompt(self) -> str:
        return self.body["messages"][0]["content"]


def says(text: str | None, model: str = "judge-0613", **message: Any) -> Raw:
    """A valid completion."""
    reason = message.pop("finish_reason", "stop")
    value = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": text} | message}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
    }
    return Raw(body=json.dumps(value).encode())


def fails(status: int, message: str = "no", headers: dict[str, str] | None = None, **error: Any) -> Raw:
    """An error in the API's format."""
    body = json.dumps({"error": {"message": message, "type": "t", "param": None, "code": None} | error}).encode()
    return Raw(status, body, {"content-type": "application/json"} | (headers or {}))


class Server:
    """A context manager; `behave(call)` answers, and `calls` holds all requests."""

    def __init__(self, behave: Callable[[Call], Raw]) -> None:
        self.behave, self.calls = behave, list[Call]()
        self.most_at_once = self._now = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    async def _main(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._end.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                call = Call(len(self.calls), headers, json.loads(body))
                self.calls.append(call)
                self._now += 1
                self.most_at_once = max(self.most_at_once, self._now)
                try:
                    reply = self.behave(call)
                    if reply.seconds:
                        await asyncio.sleep(reply.seconds)
                finally:
                    self._now -= 1
                lines = [f"HTTP/1.1 {reply.status} X", f"content-length: {len(reply.body)}"]
                lines += [f"{name}: {value}" for name, value in reply.headers.items()]
                wire = ("\r\n".join(lines) + "\r\n\r\n").encode() + reply.body
                writer.write(wire if reply.drop is None else wire[: reply.drop])
                await writer.drain()
                if reply.drop is not None:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
