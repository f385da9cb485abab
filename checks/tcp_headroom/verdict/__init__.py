"""Which case is it, and what is to be done next? The last word of ``-v``, on the evidence of all checks together.

``evidence`` has the values, ``conclusion`` gathers them, ``grants`` those of OpenVZ and ``starvation`` those of cgroups;
``judgement`` finds the case, and ``cases`` names them.

Imported by ``commands``, for ``-v`` alone, and on hosts of OpenVZ. It may import ``limits``, ``memory``, ``log``,
``cgroups`` and ``proc``.
"""
