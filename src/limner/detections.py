"""Our keys on ``sv.Detections``, and what can be decided on boxes alone.

``sv.Detections`` is used unchanged. Keys in ``.data``, one value a row:

============== ============ ====================================================================
class_name     str          the phrase, or how the prompt was given ("point", "box", ...)
prompt_index   int64        which prompt the row answers; equals ``class_id``
mask_score     float32      the model's own estimate of the mask's quality
candidates     object       tuple of ``(mask (H, W) bool, score)``, best first, where kept
============== ============ ====================================================================

Functions return new values; none edits its argument.
"""

from __future__ import annotations
