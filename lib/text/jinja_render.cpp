#include "text/jinja_render.hpp"

#include "text/jinja_error.hpp"

namespace longhaul::text::jinja {
namespace {

constexpr std::int64_t kFloor = 16 << 20;
constexpr std::int64_t kPerByte = 64;

std::int64_t bytes_in(Value const& value) {
    std::int64_t bytes = 1;
    if (value.string() != nullptr) {
        bytes += value.string()->size();
    } else if (value.list() != nullptr) {
        for (Value const& item : *value.list()) {
            bytes += bytes_in(item);
        }
    } else if (value.dict() != nullptr) {
        for (auto const& [name, item] : *value.dict()) {
            bytes += bytes_in(item);
        }
    }
    return bytes;
}

Dict loop_info(std::int64_t index0, std::int64_t length) {
    Dict info;
    info.emplace("index", Value(index0 + 1));
    info.emplace("index0", Value(index0));
    info.emplace("revindex", Value(length - index0));
    info.emplace("revindex0", Value(length - index0 - 1));
    info.emplace("first", Value(index0 == 0));
    info.emplace("last", Value(index0 + 1 == length));
    info.emplace("length", Value(length));
    return info;
}

}  // namespace

Budget::Budget(Dict const& variables) : left_(kFloor) {
    for (auto const& [name, value] : variables) {
        left_ += kPerByte * bytes_in(value);
    }
}

void Budget::spend(std::int64_t units, int line) {
    left_ -= units;
    if (left_ < 0) {
        fail(line,
             "rendering takes far more work than the messages justify; the loops or strings of the "
             "template grow without end");
    }
}

bool Budget::equal(Value const& a, Value const& b, int line) {
    bool const result = jinja::equal(a, b, left_);
    spend(0, line);
    return result;
}

Value Scopes::get(std::string const& name) const {
    for (auto scope = inner_.rbegin(); scope != inner_.rend(); ++scope) {
        if (auto const found = scope->find(name); found != scope->end()) {
            return found->second;
        }
    }
    auto const found = outer_.find(name);
    return found == outer_.end() ? Value(Undefined{name}) : found->second;
}

TrackedString Renderer::run(Block const& block) {
    render(block);
    return std::move(out_);
}

void Renderer::render(Block const& block) {
    for (Stmt const& stmt : block) {
        budget_.spend(1, stmt.line);
        render(stmt);
    }
}

void Renderer::render(Stmt const& stmt) {
    switch (stmt.kind) {
        case StmtKind::data:
            return print(stmt.data, stmt.line);
        case StmtKind::print:
            return print(evaluator_.evaluate(*stmt.expr), stmt.line);
        case StmtKind::set:
            return scopes_.set(stmt.name, evaluator_.evaluate(*stmt.expr));
        case StmtKind::loop:
            return loop(stmt);
        case StmtKind::branch:
            return branch(stmt);
    }
}

void Renderer::print(Value const& value, int line) {
    if (value.string() != nullptr) {
        budget_.spend(value.string()->size(), line);
        out_.append(*value.string());
        return;
    }
    auto const text = to_string(value);
    if (!text) {
        fail_unsupported(line, "printing {}", value.type_name());
    }
    budget_.spend(text->size(), line);
    out_.append(*text);
}

List Renderer::items_of(Stmt const& stmt) {
    Value const iterable = evaluator_.evaluate(*stmt.expr);
    List items;
    if (iterable.list() != nullptr) {
        items = *iterable.list();
    } else if (iterable.dict() != nullptr) {
        // Python keeps the order of insertion, which our dictionaries do not know.
        fail_unsupported(stmt.line, "a loop over a dictionary");
    } else if (iterable.undefined() == nullptr) {
        fail(stmt.line, "a loop over {}", iterable.type_name());
    }
    budget_.spend(static_cast<std::int64_t>(items.size()), stmt.line);
    Expr const* const condition = stmt.branches.front().condition.get();
    if (condition == nullptr) {
        return items;
    }
    List kept;
    for (Value& item : items) {
        scopes_.open();
        scopes_.set(stmt.name, item);
        if (evaluator_.evaluate(*condition).truthy()) {
            kept.push_back(std::move(item));
        }
        scopes_.close();
    }
    return kept;
}

void Renderer::loop(Stmt const& stmt) {
    List const items = items_of(stmt);
    auto const length = static_cast<std::int64_t>(items.size());
    for (std::int64_t i = 0; i < length; ++i) {
        budget_.spend(16, stmt.line);  // the loop variable
        scopes_.open();
        scopes_.set(stmt.name, items[static_cast<std::size_t>(i)]);
        scopes_.set("loop", Value(loop_info(i, length)));
        render(stmt.branches.front().body);
        scopes_.close();
    }
    if (items.empty()) {
        render(stmt.otherwise);
    }
}

void Renderer::branch(Stmt const& stmt) {
    for (Branch const& candidate : stmt.branches) {
        if (evaluator_.evaluate(*candidate.condition).truthy()) {
            return render(candidate.body);
        }
    }
    render(stmt.otherwise);
}

}  // namespace longhaul::text::jinja
