/* The tests' server as a process: prints its address, takes the token as its argument, and serves
 * until its standard input ends. */
#include <stdio.h>

#include "unit/client/fake.h"

int main(int argc, char *argv[])
{
    struct fake *fake = fake_start(&(struct fake_options){.token = argc > 1 ? argv[1] : NULL});
    (void)printf("%s\n", fake_address(fake));
    (void)fflush(stdout);
    while (getchar() != EOF) {
    }
    fake_stop(fake);
    return 0;
}
