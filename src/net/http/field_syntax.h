// The character classes and small grammars of RFC 9110 that requests and responses share.
//
// Errors    none; every function answers true or false
#pragma once

#include <string>
#include <string_view>

namespace weir {

bool IsTokenChar(unsigned char c);
bool IsToken(std::string_view text);                 // not empty, token characters only
bool IsFieldValue(std::string_view text);            // HTAB, visible ASCII, space, obs-text; no control byte
std::string_view TrimBlanks(std::string_view text);  // SP and HTAB at both ends
bool EqualsIgnoreCase(std::string_view a, std::string_view b);
// host[:port] with a name, an IPv4 address or a bracketed IPv6 address; no user, no blank, no empty host or port.
bool IsHostAndPort(std::string_view text);
// Client text for a message: control bytes and non-ASCII escaped, cut at 64 bytes.
std::string Quoted(std::string_view text);

}  // namespace weir
