package conformance;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;

/**
 * Runs cases and writes down what each proved: one JSON line a case, into the file that
 * CONFORMANCE_RESULTS names, in the same form as every other suite.
 */
final class Harness {
    private Harness() {}

    /** What a case does; it passes by returning. */
    interface Proof {
        void run() throws Exception;
    }

    /** The case cannot run here; the reason is the message. */
    static final class Skip extends RuntimeException {
        Skip(String reason) {
            super(reason);
        }
    }

    private record Case(String operations, String sentence, Proof proof) {}

    /** Cases of one client in one encoding. */
    static final class Suite {
        private final String client;
        private final String encoding;
        private final String service;
        private final List<Case> cases = new ArrayList<>();

        Suite(String client, String encoding) {
            this(client, encoding, "kinesis");
        }

        Suite(String client, String encoding, String service) {
            this.client = client;
            this.encoding = encoding;
            this.service = service;
        }

        void add(String operations, String sentence, Proof proof) {
            cases.add(new Case(operations, sentence, proof));
        }

        /** Runs the cases and gives how many passed, failed and were skipped. */
        int[] run() throws IOException {
            int[] counts = new int[3];
            String only = Objects.requireNonNullElse(System.getenv("CONFORMANCE_ONLY"), "").toLowerCase(Locale.ROOT);
            for (Case one : cases) {
                if (!(one.sentence + " " + one.operations).toLowerCase(Locale.ROOT).contains(only)) {
                    continue;
                }
                long started = System.nanoTime();
                String outcome = "passed";
                String detail = "";
                try {
                    one.proof.run();
                } catch (Throwable error) {
                    outcome = error instanceof Skip ? "skipped" : "failed";
                    detail = error + Arrays.stream(error.getStackTrace())
                            .filter(frame -> frame.getClassName().startsWith("conformance."))
                            .limit(4)
                            .map(frame -> " @" + frame.getMethodName() + ":" + frame.getLineNumber())
                            .collect(Collectors.joining());
                }
                counts[outcome.equals("passed") ? 0 : outcome.equals("failed") ? 1 : 2]++;
                write(one, outcome, detail, (System.nanoTime() - started) / 1_000_000);
            }
            return counts;
        }

        private void write(Case one, String outcome, String detail, long milliseconds) throws IOException {
            String operations = Arrays.stream(one.operations.split(" "))
                    .map(Harness::quoted)
                    .collect(Collectors.joining(","));
            String line = "{\"client\":" + quoted(client) + ",\"encoding\":" + quoted(encoding)
                    + ",\"service\":" + quoted(service) + ",\"case\":" + quoted(one.sentence) + ",\"operations\":[" + operations + "],\"outcome\":" + quoted(outcome)
                    + ",\"milliseconds\":" + milliseconds
                    + (detail.isEmpty() ? "" : ",\"detail\":" + quoted(detail)) + "}\n";
            String path = System.getenv("CONFORMANCE_RESULTS");
            if (path != null && !path.isEmpty()) {
                Files.writeString(Path.of(path), line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
            }
            if (!outcome.equals("passed")) {
                System.out.println("  " + outcome + ": " + client + " " + encoding + ": " + one.sentence + "\n    "
                        + detail);
            }
        }
    }

    private static String quoted(String text) {
        StringBuilder found = new StringBuilder("\"");
        for (char letter : text.toCharArray()) {
            if (letter == '"' || letter == '\\') {
                found.append('\\').append(letter);
            } else if (letter < ' ') {
                found.append(String.format("\\u%04x", (int) letter));
            } else {
                found.append(letter);
            }
        }
        return found.append('"').toString();
    }

    /** Polls until the probe is true, since state changes take time by contract. */
    static void eventually(String what, int seconds, BooleanSupplier probe) throws InterruptedException {
        long deadline = System.nanoTime() + seconds * 1_000_000_000L;
        while (!probe.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + seconds + " s: " + what);
            }
            Thread.sleep(20);
        }
    }

    static void equal(Object found, Object wanted, String what) {
        if (!Objects.equals(found, wanted)) {
            throw new AssertionError(what + ": found " + found + ", wanted " + wanted);
        }
    }

    static void holds(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    /** Prints the closing line and leaves with what it means. */
    static void finish(List<int[]> all) {
        int[] total = new int[3];
        for (int[] counts : all) {
            for (int index = 0; index < 3; index++) {
                total[index] += counts[index];
            }
        }
        System.out.println(total[0] + " passed, " + total[1] + " failed, " + total[2] + " skipped");
        System.exit(total[1] > 0 || total[0] == 0 ? 1 : 0);
    }
}
