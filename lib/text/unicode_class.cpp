#include "text/unicode_class.hpp"

#include <utf8proc.h>

namespace longhaul::text {

CharClass classify(char32_t code_point) {
    // White_Space is the separators and six control characters.
    if ((code_point >= 0x09 && code_point <= 0x0d) || code_point == 0x85) {
        return CharClass::space;
    }
    switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
        case UTF8PROC_CATEGORY_LU:
        case UTF8PROC_CATEGORY_LL:
        case UTF8PROC_CATEGORY_LT:
        case UTF8PROC_CATEGORY_LM:
        case UTF8PROC_CATEGORY_LO:
            return CharClass::letter;
        case UTF8PROC_CATEGORY_ND:
        case UTF8PROC_CATEGORY_NL:
        case UTF8PROC_CATEGORY_NO:
            return CharClass::number;
        case UTF8PROC_CATEGORY_ZS:
        case UTF8PROC_CATEGORY_ZL:
        case UTF8PROC_CATEGORY_ZP:
            return CharClass::space;
        default:
            return CharClass::other;
    }
}

ClassTable::ClassTable() {
    for (char32_t code_point = 0; code_point < kSize; ++code_point) {
        classes_[code_point] = classify(code_point);
    }
}

ClassTable const& ClassTable::instance() {
    static ClassTable const table;
    return table;
}

}  // namespace longhaul::text
