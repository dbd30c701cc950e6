/* A program that measures: two metrics go into a pipe, and one line with both comes out. */
#include <satchel/emf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    int ends[2];
    char target[16];
    char line[SATCHEL_EMF_LINE_BYTES_MAX + 1] = "";
    struct satchel_emf *emf;
    struct satchel_emf_options options = {.name_space = "MyApp/Fargate", .service_name = "shop"};
    if (pipe(ends) != 0) {
        return 1;
    }
    snprintf(target, sizeof target, "fd:%d", ends[1]);
    options.target = target;
    if (satchel_emf_open(&options, &emf) != SATCHEL_OK) {
        return 1;
    }
    satchel_emf_add(satchel_emf_counter(emf, "RequestCount", "Count"), 2);
    satchel_emf_observe(satchel_emf_distribution(emf, "Latency", "Milliseconds"), 12.5);
    satchel_emf_close(emf);
    if (read(ends[0], line, sizeof line - 1) <= 0) {
        return 1;
    }
    fputs(line, stdout);
    return strstr(line, "\"RequestCount\":2,") != NULL && strstr(line, "\"Sum\":12.5") != NULL ? 0
                                                                                               : 1;
}
