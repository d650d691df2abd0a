// SPDX-License-Identifier: MIT
// The scenarios that run while allocations fail. table.h says how each may end.
#pragma once

namespace reactor::allocations {

class Scene;

void loop_made(Scene&);
void loop_timers(Scene&);
void loop_watchers(Scene&);
void loop_posts(Scene&);
void loop_deferred(Scene&);
void loop_signals(Scene&);
void loop_children(Scene&);
void loop_nested(Scene&);
void net_stream(Scene&);
void net_stream_extras(Scene&);
void net_stream_files(Scene&);
void net_stream_timeouts(Scene&);
void net_stream_lingers(Scene&);
void net_stream_handed_out(Scene&);
void net_listener(Scene&);
void net_socket_files(Scene&);
void net_connector(Scene&);
void net_datagrams(Scene&);
void net_datagrams_unix(Scene&);
void net_server(Scene&);
void net_server_empty(Scene&);
void net_server_proxy(Scene&);
void net_server_proxy_closed(Scene&);
void net_server_hand_over(Scene&);
void net_server_hand_over_again(Scene&);
void net_server_steered(Scene&);
void net_process(Scene&);
void http_requests(Scene&);
void http_large_answers(Scene&);
void http_responders(Scene&);
void http_events(Scene&);
void http_upgrade(Scene&);
void http_fields(Scene&);
void http_timeout(Scene&);
void http_limit(Scene&);
void http_end_in_handler(Scene&);
void http_access_log(Scene&);
void coro_tasks(Scene&);
void coro_channels(Scene&);
void coro_datagrams(Scene&);
void coro_datagrams_kept(Scene&);
void coro_listener(Scene&);
void coro_server(Scene&);
void dns_resolver(Scene&);
void dns_host_connector(Scene&);
void tls_contexts(Scene&);
void tls_server(Scene&);

}  // namespace reactor::allocations
