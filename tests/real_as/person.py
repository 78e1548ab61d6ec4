"""A person at a browser, as far as the provider can tell: follows redirects, keeps cookies, fills in the pages it is shown."""

import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from mcp.client.auth import AuthorizationCodeResult

REDIRECT_URI = "http://127.0.0.1:1/callback"  # nothing listens there: the code is read off the redirect to it
MAX_PAGES = 12


@dataclass
class Person:
    """Logs in as `name` and agrees to everything; `pages` says what was shown, in order."""

    name: str
    pages: list[str] = field(default_factory=list)
    consents: list[str] = field(default_factory=list)  # what each consent page listed
    _answer: AuthorizationCodeResult | None = None

    def __post_init__(self) -> None:
        self._browser = httpx2.AsyncClient(timeout=10.0, follow_redirects=False)

    async def visit(self, url: str) -> None:
        """From the authorization URL to the redirect back, through every page between."""
        answer = await self._browser.get(url)
        for _ in range(MAX_PAGES):
            if answer.status_code in {302, 303}:
                location = urljoin(str(answer.url), answer.headers["location"])
                if location.startswith(REDIRECT_URI):
                    self._answer = self._read(location)
                    return
                answer = await self._browser.get(location)
            else:
                answer = await self._submitted(answer)
        raise AssertionError(f"no end to the provider's pages: {self.pages}")

    async def back(self) -> AuthorizationCodeResult:
        assert self._answer is not None, "nobody has visited the authorization URL"
        answer, self._answer = self._answer, None
        return answer

    async def close(self) -> None:
        await self._browser.aclose()

    async def _submitted(self, page: httpx2.Response) -> httpx2.Response:
        form = re.search(r'<form [^>]*action="([^"]+)" method="post">(.*?)</form>', page.text, re.S)
        assert page.status_code == 200 and form, f"HTTP {page.status_code}: {page.text[:2000]}"
        prompt = re.search(r'name="prompt" value="(\w+)"', form[2])
        assert prompt
        self.pages.append(prompt[1])
        if prompt[1] == "consent":
            self.consents.append(" ".join(re.sub(r"<[^>]+>", " ", page.text.split("<ul>", 1)[1].split("<form", 1)[0]).split()))
        filled = {"prompt": prompt[1], **({"login": self.name, "password": "any"} if prompt[1] == "login" else {})}
        return await self._browser.post(urljoin(str(page.url), unescape(form[1])), data=filled)

    @staticmethod
    def _read(location: str) -> AuthorizationCodeResult:
        said = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        assert "error" not in said, said
        return AuthorizationCodeResult(code=said["code"], state=said.get("state"), iss=said.get("iss"))
