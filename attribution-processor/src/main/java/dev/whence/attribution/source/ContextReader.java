package dev.whence.attribution.source;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.Granularity;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.engine.text.RenderedPrompt;
import dev.whence.engine.text.RenderedPrompt.Segment;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Finds the attributable segments of a rendered prompt and cuts them into sources.
 *
 * <p>A segment is attributable if its part says so. Two options widen that for prompts whose caller
 * declared too little. {@link AttributionOptions#attributableAll()} decides segment by segment, so
 * that earlier turns do not keep a flattened last message shut: it takes segments of unknown kind,
 * and questions and instructions that are long; where that and the declared kinds give nothing (a
 * short flattened string), the questions, or without any the instructions. A retrieved, tool or
 * history part that the caller excluded stays excluded. {@link AttributionOptions#contextPattern()}
 * takes what its group matches inside segments that are not attributable otherwise.
 *
 * <p>A part is cut as it was given, whatever white space a template trims off it, so that every
 * model reads the same sources from the same conversation; only where a source stands in the
 * rendered prompt is the template's matter.
 */
public final class ContextReader {
  /** Characters of a question or an instruction that most likely has context in it. */
  static final int LONG_SEGMENT = 1000;

  private final AttributionOptions options;
  private final Optional<ContextPattern> pattern;
  private final Partitioner partitioner;

  /**
   * @throws IllegalArgumentException if the options' context pattern is not usable
   */
  public ContextReader(AttributionOptions options, Partitioner partitioner) {
    this.options = options;
    this.partitioner = partitioner;
    this.pattern =
        options.contextPattern().isEmpty()
            ? Optional.empty()
            : Optional.of(new ContextPattern(options.contextPattern()));
  }

  /**
   * Reads a prompt.
   *
   * @throws ContextPattern.TooSlowException if the context pattern had to be stopped
   */
  public PromptReading read(RenderedPrompt prompt) throws ContextPattern.TooSlowException {
    Collector collector = new Collector();
    ContextPattern.Steps steps = new ContextPattern.Steps();
    Optional<PartKind> fallback = fallback(prompt);
    boolean documents = false;
    boolean longInstruction = false;
    boolean longText = false;
    for (Segment segment : prompt.segments()) {
      Part part = segment.part();
      int before = collector.sources.size();
      if (part.attributable() || isWidened(part, fallback)) {
        if (part.sources().isEmpty()) {
          collector.partition(segment, new Span(0, part.text().length()));
        } else {
          collector.callersSpans(segment);
        }
        if (part.kind() == PartKind.INSTRUCTION || part.kind() == PartKind.QUESTION) {
          collector.asked(before);
        }
      } else if (pattern.isPresent() && !part.kind().attributableByDefault()) {
        for (Span match : pattern.get().find(part.text(), steps)) {
          collector.partition(segment, match);
        }
      }
      if (collector.sources.size() > before) {
        documents |= part.kind() == PartKind.RETRIEVED || part.kind() == PartKind.TOOL_OUTPUT;
      } else if (isLong(part)) {
        longInstruction |= part.kind() == PartKind.INSTRUCTION;
        longText |= part.kind() != PartKind.INSTRUCTION;
      }
    }
    return new PromptReading(
        prompt,
        collector.sources,
        collector.context,
        collector.declared,
        // Long instructions are common: beside documents they are what they say.
        longText || (longInstruction && !documents),
        collector.asked);
  }

  /** What {@code attributableAll} adds where segment by segment there is nothing. */
  private Optional<PartKind> fallback(RenderedPrompt prompt) {
    boolean question = false;
    for (Segment segment : prompt.segments()) {
      Part part = segment.part();
      if (part.attributable() || isWidened(part, Optional.empty())) {
        return Optional.empty();
      }
      question |= part.kind() == PartKind.QUESTION;
    }
    return Optional.of(question ? PartKind.QUESTION : PartKind.INSTRUCTION);
  }

  private boolean isWidened(Part part, Optional<PartKind> fallback) {
    return options.attributableAll()
        && (part.kind() == PartKind.UNKNOWN
            || isLong(part)
            || fallback.filter(kind -> kind == part.kind()).isPresent());
  }

  /** Whether nobody excluded the part, and it is long enough to be a flattened prompt. */
  private static boolean isLong(Part part) {
    return !part.kind().attributableByDefault()
        && part.text().length() >= LONG_SEGMENT
        && !part.text().isBlank();
  }

  /** What has been found so far. */
  private final class Collector {
    final List<Source> sources = new ArrayList<>();
    final List<Span> context = new ArrayList<>();
    final Set<Integer> asked = new HashSet<>();
    boolean declared;
    int paragraph;

    /** All sources from this one on belong to what was asked. */
    void asked(int first) {
      for (int i = first; i < sources.size(); i++) {
        asked.add(i);
      }
    }

    /** Cuts a range of a part's text as the granularity says. */
    void partition(Segment segment, Span range) {
      declared = true;
      String text = range.in(segment.part().text());
      if (WhiteSpace.firstVisible(text, 0, text.length()) == text.length()) {
        return;
      }
      context.add(rendered(segment, range));
      if (options.granularity() == Granularity.SEGMENT) {
        add(segment, range, paragraph++);
        return;
      }
      for (Span piece : partitioner.paragraphs(text)) {
        if (options.granularity() == Granularity.PARAGRAPH) {
          add(segment, piece.shift(range.start()), paragraph);
        } else {
          for (Span sentence : partitioner.sentences(piece.in(text))) {
            add(segment, sentence.shift(piece.start() + range.start()), paragraph);
          }
        }
        paragraph++;
      }
    }

    /** Takes the caller's spans as they are; those that begin in one paragraph belong together. */
    void callersSpans(Segment segment) {
      declared = true;
      String text = segment.part().text();
      List<Span> paragraphs = partitioner.paragraphs(text);
      int next = 0;
      boolean open = false;
      for (Span span : segment.part().sources()) {
        while (next < paragraphs.size() && paragraphs.get(next).end() <= span.start()) {
          next++;
          paragraph += open ? 1 : 0;
          open = false;
        }
        add(segment, span, paragraph);
        open = true;
        Span rendered = rendered(segment, span);
        if (!rendered.isEmpty()) {
          context.add(rendered);
        }
      }
      paragraph++;
    }

    private void add(Segment segment, Span span, int inParagraph) {
      Part part = segment.part();
      sources.add(
          new Source(part.id(), span, span.in(part.text()), rendered(segment, span), inParagraph));
    }

    private Span rendered(Segment segment, Span span) {
      return new Span(segment.toRendered(span.start()), segment.toRendered(span.end()));
    }
  }
}
