#include "control/admin_server.h"

namespace purgeline {

namespace {

HttpResponse plain(AdminResponse page) {
  HttpResponse response;
  response.status = page.status;
  response.content_type = std::move(page.content_type);
  response.body = std::move(page.body);
  response.fields.emplace_back("Cache-Control", "no-store");
  if (!page.allow.empty()) response.fields.emplace_back("Allow", std::move(page.allow));
  return response;
}

HttpHandler answering(AdminHandler handler) {
  return [handler = std::move(handler)](const HttpRequest& request, const HttpReply& reply) {
    reply(plain(handler({request.method, request.target})));
  };
}

HttpResponse refuse(unsigned status, std::string_view reason) {
  AdminResponse page;
  page.status = status;
  page.body = std::string(reason) + "\n";
  return plain(std::move(page));
}

HttpLimits http_limits(const AdminLimits& limits) {
  HttpLimits out;
  out.header = limits.header;
  out.connections = limits.connections;
  out.idle = limits.idle;
  out.request = limits.idle;
  return out;
}

}  // namespace

AdminServer::AdminServer(boost::asio::io_context& context, AdminHandler handler, AdminLimits limits)
    : server_(context, answering(std::move(handler)), refuse, http_limits(limits)) {}

Status AdminServer::listen(const Endpoint& endpoint) {
  const Status status = server_.listen(endpoint);
  if (status) address_ = server_.addresses().back();
  return status;
}

}  // namespace purgeline
