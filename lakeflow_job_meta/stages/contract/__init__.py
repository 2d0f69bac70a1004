"""What the source stage promises to the stage that comes next: `model`, read with all findings at once: `read`,
compared with an older one: `versions`, and with the tables as they are: `check`. `handoff` is how a consumer reads.
"""

from __future__ import annotations
