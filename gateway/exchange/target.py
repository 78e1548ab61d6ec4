"""Which item a message is about. Pure: a message and a view give a target, known or not.

An unknown target is still a target: the policy is asked about it like any other, so that time and answers tell nothing apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.catalog.names import check_uri, uri_problem
from gateway.catalog.surface import View
from gateway.errors import Kind, Refusal
from gateway.model import Item, JsonObject, Message, Resource
from gateway.wire.methods import Method


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked about, and where a permitted request goes."""

    resource: Resource
    arguments: JsonObject  # what the policy sees and what is forwarded
    backend: str | None = None
    item: Item | None = None
    completes: str | None = None  # completion only: which of the arguments

    def whole(self, arguments: JsonObject) -> bool:
        """Whether these arguments, redacted, still say what is wanted: a completion needs the value that it completes."""
        return self.completes is None or isinstance(arguments.get(self.completes), str)

    @property
    def known(self) -> bool:
        """It may exist: a tool or prompt of the surface, or a URI of one of its backends."""
        return self.backend is not None

    def params(self, method: str, arguments: JsonObject) -> JsonObject:
        """The backend's parameters for `method`, in the backend's own names, from the final arguments."""
        if method == "tools/call":
            return {"name": self.resource.name, "arguments": arguments}
        if method == "prompts/get":
            return {"name": self.resource.name, "arguments": arguments} if arguments else {"name": self.resource.name}
        if method == "completion/complete":
            return self._completion(arguments)
        return {"uri": self.resource.uri}

    def _completion(self, arguments: JsonObject) -> JsonObject:
        own = self.resource.template if self.resource.type == "resource_template" else self.resource.uri
        reference: JsonObject = (
            {"type": "ref/prompt", "name": self.resource.name}
            if self.resource.type == "prompt"
            else {"type": "ref/resource", "uri": own}
        )
        assert self.completes is not None
        others = {name: value for name, value in arguments.items() if name != self.completes}
        params: JsonObject = {"ref": reference, "argument": {"name": self.completes, "value": arguments[self.completes]}}
        if others:
            params["context"] = {"arguments": others}
        return params


def resolve(view: View, method: Method, message: Message) -> Target:
    """The target of an item method's parameters, which the ladder has checked. Raises `Refusal` for an ambiguous URI."""
    params = message.params
    if method.name == "completion/complete":
        argument = params["argument"]
        assert isinstance(argument, dict)
        return replace(_completed(view, params), completes=str(argument["name"]))
    if method.name_param == "uri":
        return _resource(view, str(params["uri"]), {})
    arguments = params.get("arguments")
    assert method.item_type is not None
    return _named(view, method, str(params["name"]), arguments if isinstance(arguments, dict) else {})


def _named(view: View, method: Method, public_name: str, arguments: JsonObject) -> Target:
    assert method.item_type is not None
    item = view.find(method.item_type, public_name)
    if item is None:
        return Target(Resource(type=method.item_type, public_name=public_name), arguments)
    return Target(listed(item), arguments, item.backend, item)


def _resource(view: View, public_uri: str, arguments: JsonObject) -> Target:
    check_uri(public_uri)
    resource = linked(view, public_uri)
    return Target(resource, arguments, resource.backend, _listed_resource(view, resource))


def _completed(view: View, params: Mapping[str, object]) -> Target:
    """Completion asks about the prompt or template that it completes, with the partial value among the arguments."""
    reference, argument, context = params["ref"], params["argument"], params.get("context")
    assert isinstance(reference, dict) and isinstance(argument, dict)
    known = context.get("arguments") if isinstance(context, dict) else None
    arguments: JsonObject = {str(argument["name"]): argument["value"]}
    for name, value in (known if isinstance(known, dict) else {}).items():
        arguments.setdefault(name, value)
    if reference["type"] == "ref/prompt":
        item = view.find("prompt", reference["name"])
        if item is None:
            return Target(Resource(type="prompt", public_name=reference["name"]), arguments)
        return Target(listed(item), arguments, item.backend, item)
    template = view.find("resource_template", reference["uri"])
    if template is not None:
        return Target(listed(template), arguments, template.backend, template)
    if uri_problem(reference["uri"]) is not None:  # no URI, so a template: one that is hidden is answered like one that is not
        return Target(Resource(type="resource_template", public_name=reference["uri"]), arguments)
    return _resource(view, reference["uri"], arguments)


def listed(item: Item) -> Resource:
    """A catalog item as a decision sees it."""
    is_uri = item.type == "resource"
    return Resource(
        type=item.type,
        backend=item.backend,
        name=item.name if item.type in {"tool", "prompt"} else None,
        uri=item.name if is_uri else None,
        id=item.id,
        public_name=item.public_name,
        listed=True,
        template=item.name if item.type == "resource_template" else None,
        annotations=item.annotations or None,
        fingerprint=item.fingerprint,
    )


def linked(view: View, public_uri: str) -> Resource:
    """A URI as a decision sees it: a listed resource, or no more than its backend and the template it matches."""
    place = view.locate(public_uri)
    if place is None:
        return Resource(type="resource", public_name=public_uri)
    backend, uri = place
    template = view.template_of(backend, uri)
    item = view.resource_of(backend, uri)
    if item is None:
        return Resource(
            type="resource", backend=backend, uri=uri, public_name=public_uri, template=template.name if template else None
        )
    known = listed(item)
    return known if template is None else replace(known, template=template.name)


def _listed_resource(view: View, resource: Resource) -> Item | None:
    if resource.backend is None or resource.uri is None:
        return None
    return view.resource_of(resource.backend, resource.uri)


def unknown(target: Target) -> Refusal:
    """The one answer for what does not exist and for what is hidden, word for word the same."""
    name = target.resource.public_name
    if target.resource.type in {"resource", "resource_template"}:
        return Refusal(Kind.UNKNOWN_RESOURCE, f"Resource not found: {name}", data={"uri": name})
    what = "prompt" if target.resource.type == "prompt" else "tool"
    return Refusal(Kind.UNKNOWN_ITEM, f"Unknown {what}: {name}")
