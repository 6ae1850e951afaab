package dev.whence.quickstart.view;

import dev.whence.conversation.Part;
import dev.whence.quickstart.view.AttributionView.Source;
import dev.whence.quickstart.view.DisplayText.Run;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The context with its sources coloured by how much they drove the answer.
 *
 * <p>The heat of a source is |tau| as a share of the sum of all positive tau, damped below 1 nat:
 *
 * <pre>heat = |tau| / max(1 nat, sum of positive tau)</pre>
 *
 * so that a context in which nothing matters stays cold, rather than having its noise stretched
 * over the palette. Warm colours made the answer more likely, cold ones less. The strongest sources
 * carry their rank, and every coloured source its tau in nats. Segments in which nothing is warm
 * take one faint line. Of a view that shows only its strongest sources the others are cold.
 */
final class HeatMap {
  /** Sources that are given a rank, unless the view says how many. */
  static final int RANKED = 3;

  /** A source with less |tau| than this, in nats, has no colour. */
  static final double FAINTEST = 0.05;

  private static final double[] LEVELS = {.02, .06, .15, .3, .5}; // least heat of level 1, 2, ...
  private static final int INDENT = 4;

  private final AttributionView view;
  private final double faintest;
  private final double whole;
  private final Set<Source> shown;
  private final Map<Source, Integer> ranks = new HashMap<>();

  HeatMap(AttributionView view) {
    this.view = view;
    this.faintest = Math.max(FAINTEST, view.noiseFloor().orElse(0));
    double positive =
        view.sources().stream().mapToDouble(source -> Math.max(0, source.tau())).sum();
    this.whole = Math.max(1, positive);
    this.shown =
        view.sources().stream()
            .sorted(Comparator.comparingDouble(Source::tau).reversed())
            .limit(view.isCut() ? view.top() : Long.MAX_VALUE)
            .collect(Collectors.toSet());
    List<Source> ranking = ranking();
    for (int i = 0; i < ranking.size(); i++) {
      ranks.put(ranking.get(i), i + 1);
    }
  }

  /** The strongest sources that have a colour, strongest first. */
  List<Source> ranking() {
    return view.sources().stream()
        .filter(source -> level(source) > 0)
        .sorted(Comparator.comparingDouble(Source::tau).reversed())
        .limit(view.top() > 0 ? view.top() : RANKED)
        .toList();
  }

  /** The share of all positive tau, in percent, that a source has. */
  long percent(Source source) {
    return Math.round(100 * source.tau() / whole);
  }

  /** From -{@link Style#HOTTEST} to {@link Style#HOTTEST}. */
  int level(Source source) {
    double magnitude = Math.abs(source.tau());
    int level = 0;
    if (magnitude >= faintest && shown.contains(source)) {
      while (level < LEVELS.length && magnitude / whole >= LEVELS[level]) {
        level++;
      }
    }
    return source.tau() < 0 ? -level : level;
  }

  /** Lines for a terminal with colours. */
  List<String> lines(Terminal terminal) {
    Map<String, List<Source>> bySegment = new HashMap<>();
    for (Source source : view.sources()) {
      bySegment.computeIfAbsent(source.segment(), id -> new ArrayList<>()).add(source);
    }
    List<String> lines = new ArrayList<>();
    view.conversation()
        .parts()
        .forEach(
            part -> {
              List<Source> sources = bySegment.getOrDefault(part.id(), List.of());
              if (!sources.isEmpty()) {
                lines.addAll(segment(part, sources, terminal));
              }
            });
    return lines;
  }

  private List<String> segment(Part part, List<Source> sources, Terminal terminal) {
    String name = DisplayText.clean(part.title().isEmpty() ? part.id() : part.title()).strip();
    if (sources.stream().allMatch(source -> level(source) == 0)) {
      return List.of(cold(name, sources, terminal));
    }
    List<Run> runs = new ArrayList<>();
    int at = 0;
    for (Source source : sources) {
      int start = Math.max(at, source.span().start());
      int end = Math.min(part.text().length(), source.span().end());
      if (start > at) {
        runs.add(new Run(DisplayText.clean(part.text().substring(at, start)), Style.PLAIN));
      }
      if (end > start) {
        runs.addAll(source(source, part.text().substring(start, end)));
        at = end;
      }
    }
    if (at < part.text().length()) {
      runs.add(new Run(DisplayText.clean(part.text().substring(at)), Style.PLAIN));
    }
    int columns = terminal.columns();
    List<String> lines = new ArrayList<>();
    String title = DisplayText.fit(name, columns - INDENT, terminal.glyph("…", "..."));
    lines.add(" ".repeat(INDENT) + Style.BOLD.begin() + title + Style.BOLD.end());
    String indent = " ".repeat(INDENT);
    lines.addAll(DisplayText.wrap(runs, indent, INDENT, columns, true));
    return lines;
  }

  private String cold(String name, List<Source> sources, Terminal terminal) {
    int count = sources.size();
    long cut = sources.stream().filter(source -> !shown.contains(source)).count();
    String below =
        String.format(Locale.ROOT, "%sbelow %.2f nats", count == 1 ? "" : "each ", leastShown());
    String apart = "not among the " + view.top() + " largest";
    String why = cut == 0 ? below : cut == count ? apart : below + " or " + apart;
    String rest =
        String.format(
            Locale.ROOT,
            " %s %d %s, %s",
            terminal.glyph("·", "-"),
            count,
            count == 1 ? "source" : "sources",
            why);
    int room = terminal.columns() - INDENT - DisplayText.width(rest);
    String line = DisplayText.fit(name, Math.max(8, room), terminal.glyph("…", "...")) + rest;
    return " ".repeat(INDENT) + Style.FAINT.begin() + line + Style.FAINT.end();
  }

  /** |tau| from which a source is coloured, nats. */
  private double leastShown() {
    return Math.max(faintest, LEVELS[0] * whole);
  }

  private List<Run> source(Source source, String text) {
    int level = level(source);
    Style style = Style.heat(level);
    List<Run> runs = new ArrayList<>();
    Integer rank = ranks.get(source);
    if (rank != null) {
      runs.add(new Run(" ", Style.PLAIN));
      runs.add(new Run("[" + rank + "]", Style.BADGE));
      runs.add(new Run(" ", style));
    }
    String clean = DisplayText.clean(text);
    runs.add(new Run(clean, style));
    if (level != 0) {
      String tau = String.format(Locale.ROOT, rank == null ? "%+.2f" : "%+.2f nats", source.tau());
      runs.add(new Run(clean.endsWith(" ") ? "" : " ", Style.PLAIN));
      runs.add(new Run(tau + " ", rank == null ? Style.FAINT : Style.BOLD));
    }
    return runs;
  }
}
