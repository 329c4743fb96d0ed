"""nftables mode, synced: the table anew in one transaction, or what changed in one smaller one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProgramError
from labkit.proxy.nftables import plan_nftables_ports
from labkit.proxy.nftables_changes import plan_statements, service_share
from labkit.proxy.nftables_expressions import UnspokenError
from labkit.proxy.nftables_messages import encode_statements
from labkit.proxy.nftables_netlink import MOST_BYTES, NftablesSocket
from labkit.proxy.program import apply_nftables
from labkit.proxy.program_nft import refused_because, send_statements
from labkit.proxy.writers import Basis, Ports, PortsChange, Writes, counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.fabric.namespace import Namespace
    from labkit.proxy.nftables_statements import Statement
    from labkit.proxy.program_restore import Backend


class NftablesWriter:
    """Writes nftables mode into a namespace."""

    def __init__(self, namespace: Namespace, backend: Backend) -> None:
        """Take charge of the table of `namespace`; nothing is written yet."""
        self._namespace = namespace
        self._backend = backend
        self._socket = namespace.run(lambda: NftablesSocket(namespace.name))
        namespace.keep(self._socket)

    def write_all(self, basis: Basis, ports: Mapping[str, Ports]) -> Writes:
        """Make the table anew; see Writer."""
        every = [port for some in ports.values() for port in some]
        plan = plan_nftables_ports(every, basis.settings)
        return apply_nftables(plan, self._namespace, self._backend, basis.config.ipvs.exclude_cidrs)

    def write_changes(
        self, basis: Basis, changes: Mapping[str, PortsChange], ports: Mapping[str, Ports]
    ) -> Writes:
        """Send what differs as one transaction; see Writer."""
        del ports  # nothing in the table is made of several Services
        statements = plan_statements(
            service_share((change.before for change in changes.values()), basis.settings),
            service_share((change.after for change in changes.values()), basis.settings),
        )
        return counted(statements=self._send(statements) if statements else 0)

    def _send(self, statements: Sequence[Statement]) -> int:
        """Send one transaction past nft, which would read the whole table first; by nft where it must."""
        try:
            messages = encode_statements(statements)
        except UnspokenError:
            return send_statements(self._namespace, statements)
        if sum(len(message.body) for message, _ in messages) > MOST_BYTES:
            return send_statements(self._namespace, statements)
        if refusal := self._socket.commit([message for message, _ in messages]):
            number, words = refusal
            line = messages[number][1].line if number >= 0 else "the transaction as a whole"
            raise ProgramError(refused_because(words), where=f"{self._namespace.name}: {line}")
        return len(statements)

    def forget(self) -> None:
        """Nothing is remembered; see Writer."""
