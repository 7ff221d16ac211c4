"""Connection pools sized for a whole fleet: the arithmetic before the first connection is opened."""

from scalekit._lazy import exports

__all__ = ["FleetPlan", "Load", "PoolConfig", "Role", "RolePlan", "Server", "plan_pools"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.pools._config import PoolConfig as PoolConfig
    from scalekit.pools._load import Load as Load
    from scalekit.pools._plan import FleetPlan as FleetPlan
    from scalekit.pools._plan import plan_pools as plan_pools
    from scalekit.pools._role import Role as Role
    from scalekit.pools._server import Server as Server
    from scalekit.pools._sizing import RolePlan as RolePlan
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "_config": ["PoolConfig"],
            "_load": ["Load"],
            "_plan": ["FleetPlan", "plan_pools"],
            "_role": ["Role"],
            "_server": ["Server"],
            "_sizing": ["RolePlan"],
        },
    )
