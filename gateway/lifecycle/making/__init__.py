"""`policy init` and `policy new`: what a team begins with, so that what it writes is checked from the first line on."""
