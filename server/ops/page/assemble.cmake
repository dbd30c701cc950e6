# cmake -DSOURCE=page/ -DPAGE=page.html -DHEADERS=page.headers -DSCRIPTS=a.js;b.js -P assemble.cmake
#
# Makes one document of index.html, page.css and the scripts, and the HTTP headers that go with it:
# a Content-Security-Policy which lets exactly this style and this script run, by their hashes, and
# lets the script talk to the server it came from and to nobody else.

# The hash of a text as a policy names it. CMake knows hexadecimal digits only: six of them are four of base64.
function(policy_hash out text)
    set(alphabet ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/)
    string(SHA256 hex "${text}")
    set(base64 "")
    foreach(at RANGE 0 60 6)
        string(SUBSTRING "${hex}00" ${at} 6 digits) # 32 bytes: one short of a multiple of three
        foreach(shift 18 12 6 0)
            math(EXPR letter "(0x${digits} >> ${shift}) & 63")
            string(SUBSTRING ${alphabet} ${letter} 1 letter)
            string(APPEND base64 "${letter}")
        endforeach()
    endforeach()
    string(SUBSTRING ${base64} 0 43 base64)
    set(${out} "'sha256-${base64}='" PARENT_SCOPE)
endfunction()

file(READ ${SOURCE}/index.html page)
file(READ ${SOURCE}/page.css style)
set(script "")
foreach(name IN LISTS SCRIPTS)
    file(READ ${SOURCE}/${name} text)
    string(APPEND script "${text}")
endforeach()
policy_hash(style_hash "${style}")
policy_hash(script_hash "${script}")
string(REPLACE "@STYLE@" "${style}" page "${page}")
string(REPLACE "@SCRIPT@" "${script}" page "${page}")
file(WRITE ${PAGE} "${page}")
string(CONCAT headers
    "Content-Security-Policy: default-src 'none'; script-src ${script_hash}; style-src ${style_hash}; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n")
file(WRITE ${HEADERS} "${headers}")
