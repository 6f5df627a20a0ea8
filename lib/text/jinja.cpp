#include "text/jinja.hpp"

#include "base/error.hpp"
#include "text/jinja_ast.hpp"
#include "text/jinja_render.hpp"
#include "text/utf8.hpp"

namespace longhaul::text::jinja {
namespace {

constexpr std::size_t kMaxSource = std::size_t{1} << 20;

Block checked_parse(std::string_view source) {
    LH_VALIDATE(source.size() <= kMaxSource,
                "the chat template has {} bytes; more than {} are not accepted, use a shorter one",
                source.size(), kMaxSource);
    require_utf8(source, "the chat template");
    return parse(source);
}

}  // namespace

Template::Template(std::string_view source)
    : statements_(std::make_unique<Block const>(checked_parse(source))) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

TrackedString Template::render(Dict const& variables) const {
    return Renderer(variables).run(*statements_);
}

}  // namespace longhaul::text::jinja
