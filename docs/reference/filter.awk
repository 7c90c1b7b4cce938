# Turns the plain comments of the headers into those that Doxygen reads, and takes the meaning from
# characters that would have one: the headers are written for people who read them as they are. A comment
# at the start of a line speaks of what follows it, one behind code of what stands before it; the first of
# a file is about the file. Lines of dashes divide a header and are left out. SPDX-License-Identifier: MIT

function plain(text) {
  gsub(/\\/, "\\\\", text)
  gsub(/[@#%<>&~]/, "\\\\&", text)
  while (match(text, /`[^`]*`/))
    text = substr(text, 1, RSTART - 1) "<code>" substr(text, RSTART + 1, RLENGTH - 2) "</code>" \
      substr(text, RSTART + RLENGTH)
  return text
}

# What of the line is comment becomes plain, until the comment ends.
function comment_line(text,   end) {
  gsub(/SPDX-License-Identifier[:] MIT/, "", text)
  end = index(text, "*/")
  if (!end)
    return plain(text)
  inside = 0
  return plain(substr(text, 1, end - 1)) substr(text, end)
}

inside { print comment_line($0); next }
/^ *\/\* ----/ { print ""; next }
/^#define/ && /\/\*/ && /\\$/ { print; next }
{
  at = index($0, "/*")
  if (!at) { print; next }
  before = substr($0, 1, at - 1)
  inside = 1
  rest = comment_line(substr($0, at + 2))
  if (before ~ /[^ ]/)
    print before "/**<" rest
  else if (FNR == 1)
    print before "/** @file\n *" rest
  else
    print before "/**" rest
}
