package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/**
 * The script {@code whence} in a directory of its own, with a Java and a Maven wrapper that only
 * say how they were called.
 */
@DisabledOnOs(OS.WINDOWS)
class LauncherScriptTest {
  private static final String RUNS =
      """
      #!/bin/sh
      if [ "$1" = -version ]; then
        echo 'openjdk version "%s" 2026-01-20' >&2
      else
        printf '%%s\\n' "$LRU_CACHE_CAPACITY $ONEDNN_PRIMITIVE_CACHE_CAPACITY $OMP_WAIT_POLICY" "$@"
        exit 7
      fi
      """;

  @TempDir private Path directory;
  private Path root;

  private record Ended(int exit, List<String> out, List<String> err) {}

  @BeforeEach
  void copyScript() throws IOException {
    root = Files.createDirectories(directory.resolve("a checkout"));
    Files.copy(Path.of("..", "whence"), root.resolve("whence"), StandardCopyOption.COPY_ATTRIBUTES);
  }

  @Test
  void withoutAJavaItIsOneSentence() throws Exception {
    Path tools = Files.createDirectories(directory.resolve("tools"));
    executable(tools.resolve("dirname"), "#!/bin/sh\nexec " + tool("dirname") + " \"$@\"\n");
    failsWith(whence(Map.of("PATH", tools.toString())), "no Java found; install a JDK 17 or later");
    failsWith(
        whence(Map.of("JAVA_HOME", directory.toString())), "JAVA_HOME is '" + directory + "'");
  }

  @Test
  void anOldJavaIsOneSentence() throws Exception {
    Path old = java("old", "1.8.0_292", false);
    failsWith(whence(Map.of("JAVA_HOME", old.toString())), "is Java 8; a JDK 17 or later");
  }

  @Test
  void aJreCanNotBuildAndSaysSoInOneSentence() throws Exception {
    Path jre = java("jre", "17.0.9", false);
    failsWith(whence(Map.of("JAVA_HOME", jre.toString())), "is a JRE: there is no javac beside it");
    Path bin = Files.createDirectories(directory.resolve("linked"));
    Files.createSymbolicLink(bin.resolve("java"), jre.resolve("bin/java"));
    failsWith(
        whence(Map.of("PATH", bin + ":" + System.getenv("PATH"))),
        "is a JRE: there is no javac beside it");
    assertThat(root.resolve("target")).doesNotExist();
  }

  @Test
  void withoutAHomeToKeepLibrariesInNothingIsBuilt() throws Exception {
    Path jdk = java("jdk", "17.0.9", true);
    maven("exit 1\n");
    Map<String, String> nowhere = Map.of("JAVA_HOME", jdk.toString(), "HOME", "");
    failsWith(whence(nowhere, "topics"), "HOME is not set, and the build keeps Maven");
    Map<String, String> maven = new TreeMap<>(nowhere);
    maven.put("MAVEN_USER_HOME", directory.toString());
    assertThat(whence(maven, "topics").err()).last().asString().contains("the build failed");

    Files.createDirectories(root.resolve("target/whence/0123456789abcdef"));
    Map<String, String> built = new TreeMap<>(nowhere);
    built.put("WHENCE_SKIP_BUILD", "1");
    assertThat(whence(built, "topics").exit()).isEqualTo(7);
  }

  @Test
  void aCheckoutThatNoClassPathCanNameIsRefusedBeforeItIsBuilt() throws Exception {
    Path colon = Files.createDirectories(directory.resolve("main:copy"));
    Files.copy(root.resolve("whence"), colon.resolve("whence"), StandardCopyOption.COPY_ATTRIBUTES);
    root = colon;
    maven("exit 1\n");
    Path jdk = java("jdk", "17.0.9", true);
    failsWith(
        whence(Map.of("JAVA_HOME", jdk.toString()), "topics"),
        "'" + colon.toRealPath() + "' has a colon in it");
    assertThat(root.resolve("target")).doesNotExist();
  }

  /** As it comes, the wrapper takes one checksum for both archives. */
  @Test
  void mavenIsCheckedByTheChecksumOfTheArchiveThatIsTaken() throws Exception {
    Path wrapper = Files.createDirectories(directory.resolve("wrapper/.mvn/wrapper"));
    Path mvnw = directory.resolve("wrapper/mvnw");
    Files.copy(Path.of("..", "mvnw"), mvnw, StandardCopyOption.COPY_ATTRIBUTES);
    Path archive = directory.resolve("maven.tar.gz");
    Path made = Files.createDirectories(directory.resolve("archive/apache-maven-1.0/bin"));
    executable(made.resolve("mvn"), "#!/bin/sh\necho this is maven\n");
    run(Map.of(), "tar", "czf", archive.toString(), "-C", made + "/../..", "apache-maven-1.0");

    Path tools = Files.createDirectories(directory.resolve("no-unzip"));
    for (String name :
        List.of(
            "sh",
            "uname",
            "dirname",
            "basename",
            "tr",
            "mktemp",
            "mkdir",
            "rm",
            "mv",
            "tar",
            "gzip")) {
      Files.createSymbolicLink(tools.resolve(name), tool(name));
    }
    boolean coreutils = !tool("sha256sum").toString().isEmpty();
    for (String name : coreutils ? List.of("sha256sum") : List.of("shasum", "perl")) {
      Files.createSymbolicLink(tools.resolve(name), tool(name));
    }
    executable(
        tools.resolve("wget"), "#!/bin/sh\nexec " + tool("cp") + " '" + archive + "' \"$4\"\n");
    Map<String, String> environment =
        Map.of("PATH", tools.toString(), "HOME", directory.resolve("home").toString());
    String properties =
        """
        distributionUrl=http://x/org/apache/maven/apache-maven/1.0/apache-maven-1.0-bin.zip
        distributionSha256Sum=%s
        tarSha256Sum=%s
        """;
    String wrong = "0".repeat(64);
    String right = sha256(archive);

    Files.writeString(
        wrapper.resolve("maven-wrapper.properties"), properties.formatted(right, wrong));
    Ended refused = run(environment, mvnw.toString(), "-v");
    assertThat(refused.exit()).isEqualTo(1);
    assertThat(refused.err()).first().asString().contains("Failed to validate");

    Files.writeString(
        wrapper.resolve("maven-wrapper.properties"), properties.formatted(wrong, right));
    assertThat(run(environment, mvnw.toString(), "-v").out()).containsExactly("this is maven");
  }

  private static String sha256(Path file) throws Exception {
    return HexFormat.of()
        .formatHex(MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file)));
  }

  @Test
  void withoutABuildSkippingItIsOneSentence() throws Exception {
    Path jre = java("jre", "17.0.9", false);
    failsWith(
        whence(Map.of("JAVA_HOME", jre.toString(), "WHENCE_SKIP_BUILD", "1")),
        "WHENCE_SKIP_BUILD=1, but nothing has been built yet");
  }

  @Test
  void aBuildThatIsThereIsRunByAJreWithTheArgumentsAsTheyAre() throws Exception {
    Path jre = java("jre", "21.0.1", false);
    Files.createDirectories(root.resolve("target/whence/0123456789abcdef"));
    Ended run =
        whence(
            Map.of("JAVA_HOME", jre.toString(), "WHENCE_SKIP_BUILD", "1"),
            "replay",
            "--input",
            "two words.jsonl");
    assertThat(run.err()).isEmpty();
    assertThat(run.exit()).isEqualTo(7);
    assertThat(run.out())
        .endsWith(
            "-cp",
            root.toRealPath() + "/target/whence/0123456789abcdef/*",
            "dev.whence.cli.Whence",
            "replay",
            "--input",
            "two words.jsonl");
  }

  @Test
  void theNativeLibraryKeepsLittleAndItsThreadsWaitAsleepUnlessTheEnvironmentSaysOtherwise()
      throws Exception {
    Path jre = java("jre", "21.0.1", false);
    Files.createDirectories(root.resolve("target/whence/0123456789abcdef"));
    Map<String, String> environment = Map.of("JAVA_HOME", jre.toString(), "WHENCE_SKIP_BUILD", "1");
    assertThat(whence(environment).out().get(0)).isEqualTo("64 256 passive");
    Map<String, String> other = new TreeMap<>(environment);
    other.put("LRU_CACHE_CAPACITY", "8");
    other.put("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "9");
    other.put("OMP_WAIT_POLICY", "active");
    assertThat(whence(other).out().get(0)).isEqualTo("8 9 active");
  }

  @Test
  void theQuickstartLeavesTheOptimisingCompilerOutUnlessTheOptionsSayOtherwise() throws Exception {
    Path jre = java("jre", "21.0.1", false);
    Files.createDirectories(root.resolve("target/whence/0123456789abcdef"));
    String all = "-XX:TieredStopAtLevel=4";
    Map<String, String> environment =
        Map.of("JAVA_HOME", jre.toString(), "WHENCE_SKIP_BUILD", "1", "WHENCE_JAVA_OPTS", all);
    assertThat(whence(environment, "quickstart").out())
        .containsSubsequence("-XX:TieredStopAtLevel=1", all, "quickstart");
    assertThat(whence(environment, "replay").out()).doesNotContain("-XX:TieredStopAtLevel=1");
  }

  @Test
  void aCollectorInTheOptionsTakesThePlaceOfTheOwnOne() throws Exception {
    Path jre = java("jre", "21.0.1", false);
    Files.createDirectories(root.resolve("target/whence/0123456789abcdef"));
    Map<String, String> environment =
        new TreeMap<>(Map.of("JAVA_HOME", jre.toString(), "WHENCE_SKIP_BUILD", "1"));
    assertThat(whence(environment, "topics").out()).contains("-XX:+UseSerialGC");
    for (String variable : List.of("WHENCE_JAVA_OPTS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS")) {
      Map<String, String> own = new TreeMap<>(environment);
      own.put(variable, "-Xmx4g -XX:+UseG1GC");
      assertThat(whence(own, "topics").out()).as(variable).doesNotContain("-XX:+UseSerialGC");
    }
  }

  @Test
  void whereNothingCanBeWrittenItIsOneSentence() throws Exception {
    Path jdk = java("jdk", "17.0.9", true);
    Files.createDirectories(root.resolve("target"));
    Files.writeString(root.resolve("target/whence"), "in the way");
    failsWith(whence(Map.of("JAVA_HOME", jdk.toString()), "topics"), "can not be written, but");
  }

  @Test
  void whatABuildThatWasKilledLeftIsRemovedAndItsLockTaken() throws Exception {
    Path jdk = java("jdk", "17.0.9", true);
    maven("exit 1\n");
    Process gone = new ProcessBuilder("true").start();
    gone.waitFor();
    Path lock = Files.createDirectories(root.resolve("target/whence/.lock"));
    Files.writeString(lock.resolve("pid"), gone.pid() + "\n");
    Path beside =
        Files.createDirectories(root.resolve("target/whence/.building-" + gone.pid() + "/lib"));
    Ended failed = whence(Map.of("JAVA_HOME", jdk.toString()), "topics");
    assertThat(failed.err()).last().asString().contains("the build failed");
    assertThat(beside).doesNotExist();
    assertThat(lock).doesNotExist();
  }

  @Test
  void whatIsMissingIsBuiltOnceAndWhatChangedIsBuiltAnew() throws Exception {
    Path jdk = java("jdk", "17.0.9", true);
    Path bin = Files.createDirectories(directory.resolve("linked"));
    Files.createSymbolicLink(bin.resolve("java"), jdk.resolve("bin/java"));
    Map<String, String> environment = Map.of("PATH", bin + ":" + System.getenv("PATH"));
    Path source = Files.createDirectories(root.resolve("cli/src/main")).resolve("A.java");
    Files.writeString(source, "one");
    maven(
        """
        for argument in "$@"; do
          case $argument in -Dwhence.dist=*) mkdir -p "${argument#-Dwhence.dist=}" ;; esac
        done
        """);

    Ended first = whence(environment, "topics");
    assertThat(first.exit()).isEqualTo(7);
    assertThat(first.err()).hasSize(1);
    assertThat(first.err().get(0)).startsWith("whence: building");
    assertThat(first.out()).endsWith("dev.whence.cli.Whence", "topics");
    assertThat(whence(environment, "topics").err()).isEmpty();

    Files.writeString(source, "two");
    assertThat(whence(environment, "topics").err()).hasSize(1);
  }

  @Test
  void aBuildThatFailsShowsItsEndAndOneSentence() throws Exception {
    Path jdk = java("jdk", "17.0.9", true);
    maven("echo 'no such library'; exit 1\n");
    Ended failed = whence(Map.of("JAVA_HOME", jdk.toString()), "topics");
    assertThat(failed.exit()).isEqualTo(1);
    assertThat(failed.out()).isEmpty();
    assertThat(failed.err()).hasSize(3).element(1).isEqualTo("no such library");
    assertThat(failed.err().get(2))
        .startsWith("whence: the build failed; the whole log is in ")
        .endsWith("/target/whence/build.log");
  }

  private static void failsWith(Ended ended, String sentence) {
    assertThat(ended.exit()).isEqualTo(1);
    assertThat(ended.out()).isEmpty();
    assertThat(ended.err()).hasSize(1);
    assertThat(ended.err().get(0)).startsWith("whence: ").contains(sentence);
  }

  private Path java(String name, String version, boolean compiler) throws IOException {
    Path home = directory.resolve(name);
    Files.createDirectories(home.resolve("bin"));
    executable(home.resolve("bin/java"), RUNS.formatted(version));
    if (compiler) {
      executable(home.resolve("bin/javac"), "#!/bin/sh\n");
    }
    return home;
  }

  private void maven(String script) throws IOException {
    executable(root.resolve("mvnw"), "#!/bin/sh\n" + script);
  }

  private static void executable(Path file, String text) throws IOException {
    Files.writeString(file, text);
    assertThat(file.toFile().setExecutable(true)).isTrue();
  }

  private static Path tool(String name) throws Exception {
    Process which = new ProcessBuilder("sh", "-c", "command -v " + name).start();
    return Path.of(
        new String(which.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip());
  }

  private Ended whence(Map<String, String> environment, String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of(root.resolve("whence").toString()));
    command.addAll(List.of(arguments));
    return run(environment, command.toArray(String[]::new));
  }

  private Ended run(Map<String, String> environment, String... command) throws Exception {
    ProcessBuilder builder = new ProcessBuilder(command);
    Map<String, String> all =
        new TreeMap<>(Map.of("PATH", System.getenv("PATH"), "HOME", directory.toString()));
    all.putAll(environment);
    builder.environment().clear();
    builder.environment().putAll(all);
    Path out = directory.resolve("out");
    Path err = directory.resolve("err");
    Process process = builder.redirectOutput(out.toFile()).redirectError(err.toFile()).start();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    return new Ended(process.exitValue(), Files.readAllLines(out), Files.readAllLines(err));
  }
}
