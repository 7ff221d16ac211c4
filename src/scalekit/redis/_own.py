"""A link's own connections, configured from the client that the user hands over.

The user's client is read, never changed or used: it may serve other code with other time-outs. Taken
over are address, credentials, TLS, encoding and protocol. Replaced are all retries (redis-py 8 makes
ten by default: one `get` on a closed port took 4.1 s) and all time-outs. Left out is what belongs to
the pool of the original: its notification handlers, registries and recorded addresses.

Works on the attributes that redis-py documents for its clients and pools, checked from 5.0.1 on.
"""

from __future__ import annotations

import copy
import inspect
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from scalekit._extras import require
from scalekit.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BELONGS_TO_THE_POOL = frozenset({
    "connection_class",
    "connection_pool",
    "event_dispatcher",
    "himport_registry",
    "maint_notifications_pool_handler",
    "orig_host_address",
    "orig_socket_connect_timeout",
    "orig_socket_timeout",
    "oss_cluster_maint_notifications_handler",
})  # fmt: skip

Bound: TypeAlias = "Callable[[type[Any], float], type[Any]]"
"""Turns a connection class of redis-py into the one to use, given the time-out of one operation."""


# Of the deadline, on a cluster: what a node has to answer. redis-py must see that one hangs and ask others
# who has its slots; cut off by the deadline it learns nothing, and goes on asking the hung one for ever.
NODE_SHARE = 0.6


def is_cluster(client: object, *, asynchronous: bool) -> bool:
    """Tell a cluster client from a plain one.

    Raises `ConfigurationError` for anything that is not a redis-py client of the wanted kind, and for
    one that decodes replies to text (values are bytes; decoding would corrupt or refuse them).
    """
    redis = require("redis", extra="redis", needed_by="RedisLink")
    aredis = require("redis.asyncio", extra="redis", needed_by="AsyncRedisLink")
    wanted, other = (aredis, redis) if asynchronous else (redis, aredis)
    if isinstance(client, (other.Redis, other.RedisCluster)) and not isinstance(
        client, (wanted.Redis, wanted.RedisCluster)
    ):
        takes = (
            "AsyncRedisLink takes redis.asyncio clients"
            if asynchronous
            else "RedisLink takes blocking clients"
        )
        right = "RedisLink" if asynchronous else "AsyncRedisLink"
        raise ConfigurationError("client", client, f"of the link's kind ({takes}; use {right})")
    if not isinstance(client, (wanted.Redis, wanted.RedisCluster)):
        hint = "; for a URL there is from_url" if isinstance(client, str) else ""
        expected = f"to be a redis-py client: Redis, RedisCluster or a Sentinel master{hint}"
        raise ConfigurationError("client", masked(client), expected)
    cluster = isinstance(client, wanted.RedisCluster)
    if _settings(client, cluster=cluster, asynchronous=asynchronous).get("decode_responses"):
        raise ConfigurationError("client", client, "with decode_responses=False")
    return cluster


def _settings(client: Any, *, cluster: bool, asynchronous: bool) -> dict[str, Any]:
    if not cluster:
        return dict(client.connection_pool.connection_kwargs)
    return dict(client.connection_kwargs if asynchronous else client.nodes_manager.connection_kwargs)


def _unhurried(settings: dict[str, Any], **limits: Any) -> dict[str, Any]:
    """Return `settings` without the original's pool, retries, time-outs and background checks."""
    own = {name: value for name, value in settings.items() if name not in _BELONGS_TO_THE_POOL}
    own.pop("retry_on_timeout", None)
    own.pop("retry_on_error", None)
    # Maintenance notifications raise time-outs to 10 s while a server moves, and cost a command per
    # connect; a link with a deadline and a breaker has no use for them.
    config = own.pop("maint_notifications_config", None)
    if config is not None:
        own["maint_notifications_config"] = type(config)(enabled=False)
    if own.get("driver_info") is None and "lib_name" not in own:
        own |= _driver()
    return own | {"health_check_interval": 0} | limits


def _driver() -> dict[str, Any]:
    """Return what redis-py 8 otherwise reads from its metadata files, for every connection anew."""
    redis = require("redis", extra="redis", needed_by="RedisLink")
    try:
        driver_info = require("redis.driver_info", extra="redis", needed_by="RedisLink")
    except MissingExtra:  # before 7.1; those versions read it once, on import
        return {}
    return {"driver_info": driver_info.DriverInfo(name="redis-py", lib_version=redis.__version__)}


class Origin(NamedTuple):
    """Where a link's connections come from: `make` returns a new one, not yet connected.

    `sentinels` are the clients that `make` may open connections with, to be closed after use. `pool` is
    kept because redis-py's Sentinel connections know it only weakly.
    """

    make: Callable[[], Any]
    sentinels: Sequence[Any]
    pool: object


def origin(client: Any, *, timeout: float, asynchronous: bool, bound: Bound) -> Origin:
    """Return the origin of connections to where a plain client or a Sentinel master leads.

    Raises `ConfigurationError` where redis-py cannot make a connection of the client's options.
    """
    pool = client.connection_pool
    retry = _no_retry(asynchronous=asynchronous)
    limits = {"retry": retry, "socket_timeout": None, "socket_connect_timeout": None}
    settings = _unhurried(pool.connection_kwargs, **limits)
    connection_class = bound(pool.connection_class, timeout)
    sentinel = require(
        "redis.asyncio.sentinel" if asynchronous else "redis.sentinel", extra="redis", needed_by="RedisLink"
    )
    own_pool: Any = None
    sentinels: Sequence[Any] = ()
    if isinstance(pool, sentinel.SentinelConnectionPool):
        manager = _sentinel(pool.sentinel_manager, timeout=timeout, asynchronous=asynchronous, bound=bound)
        own_pool = sentinel.SentinelConnectionPool(
            pool.service_name, manager, is_master=pool.is_master, check_connection=pool.check_connection
        )
        settings["connection_pool"] = own_pool.connection_kwargs["connection_pool"]
        sentinels = manager.sentinels
    try:
        connection_class(**settings)  # a URL's options are checked here and not before
    except Exception as error:  # one class for each version of redis-py, and each of its own mistakes
        raise ConfigurationError("client", client, f"with options that redis-py knows ({error})") from error
    return Origin(lambda: connection_class(**settings), sentinels, own_pool)


def _sentinel(manager: Any, *, timeout: float, asynchronous: bool, bound: Bound) -> Any:
    """Return a copy of a Sentinel manager that keeps the deadline.

    Each Sentinel gets an equal share of it, so that one that hangs does not keep the others from being asked.
    """
    redis = require("redis.asyncio" if asynchronous else "redis", extra="redis", needed_by="RedisLink")
    share = timeout / (len(manager.sentinels) + 1)
    sentinels: list[Any] = []
    for client in manager.sentinels:
        pool = client.connection_pool
        limits = {
            "retry": _no_retry(asynchronous=asynchronous),
            "socket_timeout": share,
            "socket_connect_timeout": share,
        }
        settings = _unhurried(pool.connection_kwargs, **limits)
        connection_class = bound(pool.connection_class, share)
        sentinels.append(
            redis.Redis(connection_pool=redis.ConnectionPool(connection_class=connection_class, **settings))
        )
    own = copy.copy(manager)
    own.sentinels = sentinels
    return own


def cluster_addresses(client: Any) -> list[tuple[str, int]]:
    """Return where the nodes are that a cluster client was told of, or has found."""
    nodes = [*client.get_nodes(), *client.nodes_manager.startup_nodes.values()]
    return list(dict.fromkeys((node.host, int(node.port)) for node in nodes))


def cluster_node(client: Any, host: str, port: int, *, asynchronous: bool) -> Any:
    """Return a plain client of one node of a cluster client's cluster, to make connections like.

    Never one that reads from replicas: their lag would bring back what was invalidated.
    """
    redis = require("redis.asyncio" if asynchronous else "redis", extra="redis", needed_by="RedisLink")
    settings = _unhurried(_settings(client, cluster=True, asynchronous=asynchronous))
    if asynchronous:
        connection_class = client.connection_kwargs["connection_class"]
        settings["redis_connect_func"] = None
    else:
        connection_class = _node_class(client, settings)
        settings["redis_connect_func"] = client.user_on_connect_func
    for name in ("retry", "db", "host", "port", "parser_class", "response_callbacks"):
        settings.pop(name, None)
    most = settings.pop("max_connections", None)
    return redis.Redis(
        connection_pool=redis.ConnectionPool(
            connection_class=connection_class, max_connections=most, host=host, port=port, **settings
        )
    )


def _node_class(client: Any, settings: dict[str, Any]) -> Any:
    """Return of which class a blocking cluster client's connections are; takes "ssl" out of `settings`."""
    redis = require("redis", extra="redis", needed_by="RedisLink")
    tls = settings.pop("ssl", False)
    return client.nodes_manager.connection_kwargs.get("connection_class") or (
        redis.SSLConnection if tls else redis.Connection
    )


def cluster(client: Any, *, timeout: float, bound: Bound) -> Any:
    """Return a blocking cluster client of our own, for commands whose keys only redis-py knows.

    It asks for the slots at once, so call it within a deadline.
    """
    share = timeout * NODE_SHARE
    redis = require("redis", extra="redis", needed_by="RedisLink")
    settings = _unhurried(
        client.nodes_manager.connection_kwargs, socket_timeout=share, socket_connect_timeout=share
    )
    for name in ("retry", "db"):  # a URL's "/0" is refused as a keyword
        settings.pop(name, None)
    base = _node_class(client, settings)
    settings["redis_connect_func"] = client.user_on_connect_func
    nodes = [type(node)(node.host, node.port) for node in client.get_nodes()]
    # Only a cluster made from a URL hands connection_class on to its nodes.
    return redis.RedisCluster(
        url=f"redis://{_bracketed(nodes[0].host)}:{nodes[0].port}",
        startup_nodes=nodes[1:],
        require_full_coverage=False,  # the slots of a dead shard fail, the others go on
        address_remap=client.nodes_manager.address_remap,
        **_no_cluster_retry(asynchronous=False),
        connection_class=bound(base, share),
        **settings,
    )


def async_cluster(client: Any, *, timeout: float) -> Any:
    """Return an asyncio cluster client of our own, not yet connected."""
    aredis = require("redis.asyncio", extra="redis", needed_by="AsyncRedisLink")
    accepted = inspect.signature(type(client).__init__).parameters
    settings = _unhurried(client.connection_kwargs)
    nodes = [*client.nodes_manager.startup_nodes.values(), *client.get_nodes()]
    return aredis.RedisCluster(
        startup_nodes=[type(node)(node.host, node.port) for node in nodes],
        require_full_coverage=False,
        address_remap=client.nodes_manager.address_remap,
        **_no_cluster_retry(asynchronous=True),
        ssl=issubclass(client.connection_kwargs["connection_class"], aredis.SSLConnection),
        socket_timeout=timeout * NODE_SHARE,
        socket_connect_timeout=timeout * NODE_SHARE,
        **{name: value for name, value in settings.items() if name in accepted and name not in _SET_HERE},
    )


_SET_HERE = frozenset({"socket_timeout", "socket_connect_timeout", "retry", "ssl"})


def _no_retry(*, asynchronous: bool) -> Any:
    module = "redis.asyncio.retry" if asynchronous else "redis.retry"
    backoff = require("redis.backoff", extra="redis", needed_by="RedisLink")
    return require(module, extra="redis", needed_by="RedisLink").Retry(backoff.NoBackoff(), 0)


def _no_cluster_retry(*, asynchronous: bool) -> dict[str, Any]:
    redis = require("redis", extra="redis", needed_by="RedisLink")
    options = {"retry": _no_retry(asynchronous=asynchronous)}
    if int(redis.__version__.partition(".")[0]) <= _LAST_WITH_TWO_RETRIES:
        options["cluster_error_retry_attempts"] = 0
    return options


_LAST_WITH_TWO_RETRIES = 5  # redis-py 6 made one option of two, and warns of the other


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def from_url(client_class: Any, url: str) -> Any:
    """Return a redis-py client for `url`; redis-py's complaint about it becomes a `ConfigurationError`."""
    try:
        return client_class.from_url(url)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError("url", masked(url), f"such as 'redis://host:6379/0' ({error})") from None


def masked(given: object) -> object:
    """Return `given` without the password, if it is a URL: errors are logged."""
    return re.sub(r"//.*@", "//***@", given) if isinstance(given, str) else given
