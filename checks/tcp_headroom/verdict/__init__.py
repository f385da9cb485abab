"""Which case is it, and what is to be done next? The last word of ``-v``, on the evidence of all checks together.

``evidence`` has the values, ``grants`` those of OpenVZ, ``conclusion`` gathers them, ``judgement`` is the table of cases.

Imported by ``commands``, for ``-v`` alone, and on hosts of OpenVZ. It may import ``limits``, ``memory``, ``log`` and ``proc``.
"""
