# awk -f docs_snippets.awk docs/concepts.md: every ```cpp block in a namespace of its own, as one translation unit.
BEGIN {
    print "#include <nullm/nullm.hpp>"
    print "#include <nullm/model/nf4_checkpoint.hpp>\n#include <nullm/io/safetensors_writer.hpp>\n#include <nullm/model/spiking_lm_file.hpp>\n"
}
/^```cpp$/ { inside = 1; printf "namespace snippet_%d {\n#line %d \"concepts.md\"\n", ++count, NR + 1; next }
/^```$/ && inside { inside = 0; print "}\n"; next }
inside { print }
END { if (count == 0 || inside) exit 1 }
