/** Histograms that BCC 0.26 printed for these counts: `bcc.table._print_log2_hist` and `_print_linear_hist`. */
export const printedByBcc: readonly {
  readonly name: string;
  readonly form: "log2" | "linear";
  readonly slots: Readonly<Record<number, number>>;
  readonly type: string;
  readonly strip: boolean;
  readonly text: string;
}[] = [
  {
    name: "a log2 histogram with a gap",
    form: "log2",
    slots: { 1: 3, 2: 5, 3: 11, 5: 40, 6: 1 },
    type: "usecs",
    strip: false,
    text: `     usecs               : count     distribution
         0 -> 1          : 3        |***                                     |
         2 -> 3          : 5        |*****                                   |
         4 -> 7          : 11       |***********                             |
         8 -> 15         : 0        |                                        |
        16 -> 31         : 40       |****************************************|
        32 -> 63         : 1        |*                                       |
`,
  },
  {
    name: "leading empty slots stripped",
    form: "log2",
    slots: { 4: 3, 5: 5, 7: 11 },
    type: "usecs",
    strip: true,
    text: `     usecs               : count     distribution
         8 -> 15         : 3        |**********                              |
        16 -> 31         : 5        |******************                      |
        32 -> 63         : 0        |                                        |
        64 -> 127        : 11       |****************************************|
`,
  },
  {
    name: "one slot",
    form: "log2",
    slots: { 1: 1 },
    type: "value",
    strip: false,
    text: `     value               : count     distribution
         0 -> 1          : 1        |****************************************|
`,
  },
  {
    name: "no counts",
    form: "log2",
    slots: {},
    type: "usecs",
    strip: false,
    text: ``,
  },
  {
    name: "counts in slot 0 only",
    form: "log2",
    slots: { 0: 9 },
    type: "usecs",
    strip: false,
    text: ``,
  },
  {
    name: "slot 0 as the largest",
    form: "log2",
    slots: { 0: 90, 2: 9 },
    type: "usecs",
    strip: false,
    text: `     usecs               : count     distribution
         0 -> 1          : 0        |                                        |
         2 -> 3          : 9        |****                                    |
`,
  },
  {
    name: "numbers and a heading wider than their columns",
    form: "log2",
    slots: { 1: 123456789, 2: 987654321, 3: 1 },
    type: "a very long type name beyond",
    strip: false,
    text: `     a very long type name beyond : count     distribution
         0 -> 1          : 123456789 |****                                    |
         2 -> 3          : 987654321 |****************************************|
         4 -> 7          : 1        |                                        |
`,
  },
  {
    name: "the wide layout, stripped",
    form: "log2",
    slots: { 20: 3, 35: 9 },
    type: "x",
    strip: true,
    text: `               x                             : count     distribution
              524288 -> 1048575              : 3        |******              |
             1048576 -> 2097151              : 0        |                    |
             2097152 -> 4194303              : 0        |                    |
             4194304 -> 8388607              : 0        |                    |
             8388608 -> 16777215             : 0        |                    |
            16777216 -> 33554431             : 0        |                    |
            33554432 -> 67108863             : 0        |                    |
            67108864 -> 134217727            : 0        |                    |
           134217728 -> 268435455            : 0        |                    |
           268435456 -> 536870911            : 0        |                    |
           536870912 -> 1073741823           : 0        |                    |
          1073741824 -> 2147483647           : 0        |                    |
          2147483648 -> 4294967295           : 0        |                    |
          4294967296 -> 8589934591           : 0        |                    |
          8589934592 -> 17179869183          : 0        |                    |
         17179869184 -> 34359738367          : 9        |********************|
`,
  },
  {
    name: "slot 33 as the first that needs the wide layout",
    form: "log2",
    slots: { 33: 10, 31: 3 },
    type: "nsecs",
    strip: false,
    text: `               nsecs                         : count     distribution
                   0 -> 1                    : 0        |                    |
                   2 -> 3                    : 0        |                    |
                   4 -> 7                    : 0        |                    |
                   8 -> 15                   : 0        |                    |
                  16 -> 31                   : 0        |                    |
                  32 -> 63                   : 0        |                    |
                  64 -> 127                  : 0        |                    |
                 128 -> 255                  : 0        |                    |
                 256 -> 511                  : 0        |                    |
                 512 -> 1023                 : 0        |                    |
                1024 -> 2047                 : 0        |                    |
                2048 -> 4095                 : 0        |                    |
                4096 -> 8191                 : 0        |                    |
                8192 -> 16383                : 0        |                    |
               16384 -> 32767                : 0        |                    |
               32768 -> 65535                : 0        |                    |
               65536 -> 131071               : 0        |                    |
              131072 -> 262143               : 0        |                    |
              262144 -> 524287               : 0        |                    |
              524288 -> 1048575              : 0        |                    |
             1048576 -> 2097151              : 0        |                    |
             2097152 -> 4194303              : 0        |                    |
             4194304 -> 8388607              : 0        |                    |
             8388608 -> 16777215             : 0        |                    |
            16777216 -> 33554431             : 0        |                    |
            33554432 -> 67108863             : 0        |                    |
            67108864 -> 134217727            : 0        |                    |
           134217728 -> 268435455            : 0        |                    |
           268435456 -> 536870911            : 0        |                    |
           536870912 -> 1073741823           : 0        |                    |
          1073741824 -> 2147483647           : 3        |******              |
          2147483648 -> 4294967295           : 0        |                    |
          4294967296 -> 8589934591           : 10       |********************|
`,
  },
  {
    name: "a linear histogram with a gap",
    form: "linear",
    slots: { 0: 3, 1: 5, 2: 11, 5: 40, 6: 1 },
    type: "kbytes",
    strip: false,
    text: `     kbytes        : count     distribution
        0          : 3        |***                                     |
        1          : 5        |*****                                   |
        2          : 11       |***********                             |
        3          : 0        |                                        |
        4          : 0        |                                        |
        5          : 40       |****************************************|
        6          : 1        |*                                       |
`,
  },
  {
    name: "a linear histogram, stripped",
    form: "linear",
    slots: { 4: 3, 5: 5, 7: 11 },
    type: "kbytes",
    strip: true,
    text: `     kbytes        : count     distribution
        4          : 3        |**********                              |
        5          : 5        |******************                      |
        6          : 0        |                                        |
        7          : 11       |****************************************|
`,
  },
  {
    name: "a linear histogram without counts",
    form: "linear",
    slots: {},
    type: "kbytes",
    strip: false,
    text: ``,
  },
  {
    name: "a linear histogram of slot 0",
    form: "linear",
    slots: { 0: 9 },
    type: "value",
    strip: false,
    text: `     value         : count     distribution
        0          : 9        |****************************************|
`,
  },
  {
    name: "a linear histogram with wide numbers",
    form: "linear",
    slots: { 0: 1, 11: 3000000000 },
    type: "longer than thirteen",
    strip: false,
    text: `     longer than thirteen : count     distribution
        0          : 1        |                                        |
        1          : 0        |                                        |
        2          : 0        |                                        |
        3          : 0        |                                        |
        4          : 0        |                                        |
        5          : 0        |                                        |
        6          : 0        |                                        |
        7          : 0        |                                        |
        8          : 0        |                                        |
        9          : 0        |                                        |
        10         : 0        |                                        |
        11         : 3000000000 |****************************************|
`,
  },
];

/** What BCC 0.26 printed for tables whose keys are structs. */
export const sectionsByBcc = {
  plain: `
disk = b'sda'
     usecs               : count     distribution
         0 -> 1          : 0        |                                        |
         2 -> 3          : 0        |                                        |
         4 -> 7          : 4        |****************************************|
         8 -> 15         : 0        |                                        |
        16 -> 31         : 2        |********************                    |

disk = b'vd"a'
     usecs               : count     distribution
         0 -> 1          : 0        |                                        |
         2 -> 3          : 5        |****************************************|

disk = b"it's"
     usecs               : count     distribution
         0 -> 1          : 1        |****************************************|
`,
  printed: `
disk = sda
     usecs               : count     distribution
         0 -> 1          : 0        |                                        |
         2 -> 3          : 0        |                                        |
         4 -> 7          : 4        |****************************************|
         8 -> 15         : 0        |                                        |
        16 -> 31         : 2        |********************                    |

disk = vd"a
     usecs               : count     distribution
         0 -> 1          : 0        |                                        |
         2 -> 3          : 5        |****************************************|

disk = it's
     usecs               : count     distribution
         0 -> 1          : 1        |****************************************|
`,
  sortedLinear: `
disk = it's
     usecs         : count     distribution
        1          : 1        |****************************************|

disk = sda
     usecs         : count     distribution
        3          : 4        |****************************************|
        4          : 0        |                                        |
        5          : 2        |********************                    |

disk = vd"a
     usecs         : count     distribution
        2          : 5        |****************************************|
`,
  padded: `
Bucket ptr = 12
     value               : count     distribution
         0 -> 1          : 0        |                                        |
         2 -> 3          : 0        |                                        |
         4 -> 7          : 4        |****************************************|

Bucket ptr = 7

Bucket ptr = 13
     value               : count     distribution
         0 -> 1          : 0        |                                        |
         2 -> 3          : 0        |                                        |
         4 -> 7          : 0        |                                        |
         8 -> 15         : 5        |****************************************|
`,
  bucketed: `
Bucket ptr = 1
     value               : count     distribution
         0 -> 1          : 0        |                                        |
         2 -> 3          : 0        |                                        |
         4 -> 7          : 4        |********************************        |
         8 -> 15         : 5        |****************************************|

Bucket ptr = 0
`,
  tuples: `
Bucket ptr = (1, 2)
     value               : count     distribution
         0 -> 1          : 0        |                                        |
         2 -> 3          : 0        |                                        |
         4 -> 7          : 4        |****************************************|

Bucket ptr = (0, 7)

Bucket ptr = (1, 3)
     value               : count     distribution
         0 -> 1          : 0        |                                        |
         2 -> 3          : 0        |                                        |
         4 -> 7          : 0        |                                        |
         8 -> 15         : 5        |****************************************|
`,
} as const;
