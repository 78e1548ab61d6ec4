"""A customer database, as a modern MCP server (2026-07-28). Every name, address and number in it is made up."""

import asyncio
from typing import TypedDict

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations

from examples.demo.eras import serve

READS = ToolAnnotations(read_only_hint=True)
CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=False)
DESTROYS = ToolAnnotations(read_only_hint=False, destructive_hint=True)

server = MCPServer("crm", instructions="Customers of the example company.")


class Customer(TypedDict):
    customer_id: str
    name: str
    email: str
    card_number: str
    notes: str


CUSTOMERS: dict[str, Customer] = {
    "c-1": {
        "customer_id": "c-1",
        "name": "Ada Marsh",
        "email": "ada.marsh@mail.test",
        "card_number": "4111 1111 1111 1111",
        "notes": "Prefers mail to ada@home.test; account manager: lee@example.com",
    },
    "c-2": {
        "customer_id": "c-2",
        "name": "Ben Okafor",
        "email": "ben@mail.test",
        "card_number": "5500 0000 0000 0004",
        "notes": "Renewal due in March.",
    },
}


@server.tool(annotations=READS)
def search_customers(query: str, limit: int = 10) -> list[str]:
    """Find customers whose name contains the query; returns their ids."""
    return [each["customer_id"] for each in CUSTOMERS.values() if query.lower() in each["name"].lower()][:limit]


@server.tool(annotations=READS)
def customer(customer_id: str) -> Customer:
    """One customer's record."""
    return CUSTOMERS[customer_id]


@server.tool(annotations=CHANGES)
def update_customer(customer_id: str, email: str) -> str:
    """Change a customer's e-mail address."""
    CUSTOMERS[customer_id]["email"] = email
    return f"{customer_id} now has the address {email}"


@server.tool(annotations=DESTROYS)
def delete_customer(customer_id: str) -> str:
    """Delete a customer for good."""
    del CUSTOMERS[customer_id]
    return f"{customer_id} is gone"


@server.tool(annotations=READS)
async def export_customers(region: str, ctx: Context) -> str:
    """Export a region's customers; takes a moment and reports how far it is."""
    for step in range(1, 4):
        await ctx.report_progress(step, 3, f"{region}: part {step} of 3")
        await asyncio.sleep(0.05)
    return f"{len(CUSTOMERS)} customers of {region} exported"


@server.prompt()
def summarise_customer(customer_id: str) -> str:
    """Ask for a short summary of one customer."""
    return f"Summarise the customer {customer_id} in three sentences, without any contact data."


@server.resource("crm://price-list", mime_type="text/plain")
def price_list() -> str:
    """The public price list."""
    return "basic 10, plus 25, team 60 (per month)"


@server.resource("crm://customers/{customer_id}", mime_type="text/plain")
def customer_card(customer_id: str) -> str:
    """One customer's card."""
    each = CUSTOMERS[customer_id]
    return f"{each['name']} <{each['email']}>"


if __name__ == "__main__":
    serve(server, "modern")
