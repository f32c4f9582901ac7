"""A service that is not MTConnect and takes events: what it got is kept, how it answers is told."""
import http.server
import json
import threading


class AnotherReceiver:
    """`answer(request)` gives (status, headers) for a request that is no repeat: one whose key was
    answered 2xx before is answered 409."""

    def __init__(self, answer=lambda request: (200, {})):
        self.answer = answer
        self.requests = []  # in order: path, key, body, headers, status
        self.taken = set()
        self.lock = threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def handler(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = receiver.take(self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        return Handler

    def take(self, path, headers, body):
        with self.lock:
            request = {"path": path, "key": headers["X-Idempotency-Key"], "headers": headers,
                       "body": json.loads(body)}
            status, more = ((409, {}) if request["key"] in self.taken else self.answer(request))
            if 200 <= status <= 299:
                self.taken.add(request["key"])
            self.requests.append({**request, "status": status})
            return status, more

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
