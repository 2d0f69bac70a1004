"""What a stage file says, as data: `model`; read with all findings at once: `read`; endpoints of an OpenAPI document.

No request is sent and no secret is looked up here.
"""

from __future__ import annotations
