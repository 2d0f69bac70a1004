"""Requests to a source system's API: logged in, within its limits, tried again where that is safe, read page by page.

httpx is imported only when the first client is made. Nothing here knows tables.
"""

from __future__ import annotations
